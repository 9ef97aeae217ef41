"""Who is told that an actor is no more: each watcher once, also of one that was dead before."""

from typing import TYPE_CHECKING, Any

from apex_actors.actors.messages import DeathNotice, Terminated

if TYPE_CHECKING:
    from apex_actors.actors.cell import Cell
    from apex_actors.actors.ref import ActorRef


def watch(cell: "Cell", ref: "ActorRef[Any]") -> None:
    """Have Terminated put into this mailbox when ``ref`` ends, or now if it has."""
    if cell.watching is None:
        cell.watching = {}
    if ref in cell.watching:
        return
    cell.watching[ref] = None
    target = ref.cell
    target.mailbox.post(_add_watcher, target, cell)


def unwatch(cell: "Cell", ref: "ActorRef[Any]") -> None:
    """No Terminated of ``ref`` will be handled any more, not even one that waits."""
    if cell.watching is not None and ref in cell.watching:
        cell.watching.pop(ref, None)
        _stop_watching(cell, ref)


def is_due(cell: "Cell", notice: DeathNotice) -> bool:
    """Whether ``notice`` is still wanted; it is not wanted a second time."""
    ref = notice.terminated.ref
    if cell.watching is None or ref not in cell.watching:
        return False
    cell.watching.pop(ref, None)
    return True


def tell_watchers(cell: "Cell") -> None:
    """``cell`` is dead: tell those who watch it, and leave those whom it watched."""
    watchers, cell.watchers = cell.watchers, None
    for watcher in watchers or ():
        _tell(watcher, cell)
    watching, cell.watching = cell.watching, None
    for ref in watching or ():
        _stop_watching(cell, ref)


def _stop_watching(cell: "Cell", ref: "ActorRef[Any]") -> None:
    target = ref.cell
    target.mailbox.post(_remove_watcher, target, cell)


def _add_watcher(cell: "Cell", watcher: "Cell") -> None:
    if cell.is_dead:
        _tell(watcher, cell)
        return
    if cell.watchers is None:
        cell.watchers = {}
    cell.watchers[watcher] = None


def _tell(watcher: "Cell", cell: "Cell") -> None:
    watcher.notify(DeathNotice(Terminated(cell.ref, cell.reason)))


def _remove_watcher(cell: "Cell", watcher: "Cell") -> None:
    if cell.watchers is not None:
        cell.watchers.pop(watcher, None)
