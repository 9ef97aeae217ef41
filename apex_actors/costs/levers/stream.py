"""The pass: requests in order of time become tallies by day, in one go and in bounded memory.

Each request is looked at once. What decides about it lies less than `LeverSettings.warm_up_s`
before it, so that a day can be tallied alone, given the requests from that time before it, and
comes out as in a pass over everything.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from apex_actors.costs.levers.cells import Cell, Reads, Way
from apex_actors.costs.levers.line import LeverRequest, in_order
from apex_actors.costs.levers.memory import Expiring, Turns
from apex_actors.costs.levers.paths import Caches, Loads, Path, add_load, find_moves
from apex_actors.costs.levers.settings import SESSION_WINDOW_S, LeverSettings
from apex_actors.costs.levers.tallies import CacheClass, DayTallies, Fate, ModelLoad, Row, Wait
from apex_actors.costs.prices import ListedModel, PriceCatalogue
from apex_actors.costs.quality import quality_scores
from apex_actors.costs.rates import RateCard, Rates, TokenShape
from apex_actors.costs.records import TRUNCATED, Processing, Status
from apex_actors.costs.timerange import TimeRange, zone

K = TypeVar("K")

_Name = tuple[str, str, Processing]

_DAY_S = 86_400
_HOUR_S = 3600
_NEVER = float("-inf")


def tally_days(
    requests: Iterable[LeverRequest],
    *,
    catalogue: PriceCatalogue,
    settings: LeverSettings,
    time_zone: str = "UTC",
    start: datetime | None = None,
) -> Iterator[DayTallies]:
    """The tallies of each day that has requests.

    Args:
        requests: single requests (no buckets) in order of time.
        catalogue: the prices, at each request's own date.
        settings: limits; of these only what is in their fingerprint matters here.
        time_zone: whose days are cut.
        start: requests before it (from `settings.warm_up_s` before it on) are only remembered.

    Raises:
        ValueError: the requests are not in order of time.
    """
    running = _Pass(catalogue, settings, time_zone, start)
    for request in in_order(requests):
        if request.occurred_at >= running.day_end:
            tallies = running.turn(request.occurred_at)
            if tallies is not None:
                yield tallies
        running.take(request)
    tallies = running.close()
    if tallies is not None:
        yield tallies


def affected_days(
    first: datetime, last: datetime, *, settings: LeverSettings, time_zone: str = "UTC"
) -> tuple[date, date]:
    """The first and the last day whose tallies change when requests between the moments do.

    A late request of a day is still remembered on the next one.
    """
    tz = zone(time_zone)
    reach = last.astimezone(UTC) + timedelta(seconds=settings.warm_up_s)
    return first.astimezone(tz).date(), reach.astimezone(tz).date()


class _Pass:
    """What is remembered while requests go by."""

    def __init__(
        self,
        catalogue: PriceCatalogue,
        settings: LeverSettings,
        time_zone: str,
        start: datetime | None,
    ) -> None:
        self._catalogue = catalogue
        self._settings = settings
        self._time_zone = time_zone
        self._zone = zone(time_zone)
        # Until the first day begins, requests are only remembered.
        self._begin(None, start or datetime.min.replace(tzinfo=UTC))
        self._midnight_s = _NEVER
        """Begin of the UTC date whose prices the paths have."""
        self._paths: dict[_Name, Path | None] = {}
        self._paths_by_time: dict[tuple[_Name, int], Path | None] = {}
        self._breaks: dict[_Name, tuple[int, ...]] = {}
        self._caches: dict[tuple[str, str], Caches] = {}
        self._scores = quality_scores()
        self._tasks = dict(settings.tasks)
        self._answers: Expiring[tuple[str, str, str], float] = Expiring(settings.answer_life_s)
        self._truncated: Expiring[str, tuple[float, int]] = Expiring(settings.retry_window_s)
        self._sessions: Expiring[tuple[str, str, str], Turns] = Expiring(SESSION_WINDOW_S)

    def turn(self, moment: datetime) -> DayTallies | None:
        """Ends the day and begins the one of the moment."""
        tallies = self.close()
        day = moment.astimezone(self._zone).date()
        whole = TimeRange.days(day, day, self._time_zone)
        self._begin(day, whole.end.astimezone(UTC))
        self._day_start_s = whole.start.timestamp()
        return tallies

    def close(self) -> DayTallies | None:
        """Ends the day; None where it is only the warm-up."""
        self._drop_paths()
        if self._day is None or not self._requests:
            return None
        return DayTallies(
            day=self._day,
            requests=self._requests,
            priced_requests=sum(cell.requests for cell in self._cells),
            hashed=self._hashed,
            in_sessions=self._in_sessions,
            errors=self._errors,
            retries=self._retries,
            deferrable=self._deferrable,
            timed=self._timed,
            # In one order, however the cells came about: a day tallied again is equal.
            rows=tuple(sorted((cell.row() for cell in self._cells), key=Row.model_dump_json)),
            loads=_loads(self._loads),
            sent_loads=_loads(self._sent_loads),
            settings=self._settings.fingerprint,
            price_version=self._catalogue.version,
        )

    def _begin(self, day: date | None, end: datetime) -> None:
        self._day = day
        self.day_end = end
        self._day_start_s = 0.0
        self._requests = self._hashed = self._in_sessions = 0
        self._errors = self._retries = self._deferrable = self._timed = 0
        self._cells: list[Cell] = []
        self._loads: Loads = {}
        self._sent_loads: Loads = {}

    def take(self, request: LeverRequest) -> None:
        """Adds a request."""
        self._requests += 1
        at_s = request.occurred_at.timestamp()
        if at_s - self._midnight_s >= _DAY_S:
            self._new_prices(at_s)
        shape = request.shape
        path = self._path_of((request.provider, request.model, request.processing), request)
        if path is None or path.lacks_price(shape):
            return
        input_tokens, read, write_5m, write_1h, output_tokens, _ = shape
        rates = path.rates_for(input_tokens)
        wasted = self._waste(request, at_s, rates)
        repeated = request.request_hash is not None and self._is_repeated(request, at_s)
        fate = Fate.REPEATED if repeated else wasted

        cache = CacheClass.NONE
        own_reads: Reads | None = None
        blocks = request.blocks
        if path.is_replayed:
            if blocks:
                cache = CacheClass.TRACED
                own_reads = path.reads(path.sent, at_s, input_tokens, blocks)
            elif read or write_5m or write_1h:
                cache = CacheClass.UNTRACED

        needed = input_tokens
        if request.session_id is not None:
            needed = self._needed(request, at_s, path, own_reads)
        if path.is_timed:
            self._timed += 1
        if fate is not Fate.KEPT or needed < input_tokens or request.deferrable or path.targets:
            self._take_special(
                request,
                at_s,
                path,
                fate=fate,
                wasted=wasted,
                own_cache=cache,
                own_reads=own_reads,
                needed=needed,
            )
            return
        key = (request.feature, cache, id(rates))
        cell = path.plain_cells.get(key)
        if cell is None:
            cell = path.plain_cells[key] = Cell(_plain_way(request, path, rates, cache))
        reads: Reads | None = None
        if own_reads is not None and blocks:
            reads = path.reads(path.planned, at_s, input_tokens, blocks)
        cell.add(request, own_reads, reads)
        if path.is_standard:
            hour = int((at_s - self._day_start_s) // _HOUR_S)
            add_load(path.hours, hour, input_tokens, output_tokens)

    def _take_special(
        self,
        request: LeverRequest,
        at_s: float,
        path: Path,
        *,
        fate: Fate,
        wasted: Fate,
        own_cache: CacheClass,
        own_reads: Reads | None,
        needed: int,
    ) -> None:
        """Adds a request that other levers than caching and the output cap may touch."""
        shape = request.shape
        is_kept = fate is Fate.KEPT
        is_trimmed = needed < shape.input_tokens
        rates = path.rates_for(shape.input_tokens)
        target, cut, planned, cache = path, rates, shape, own_cache
        if is_trimmed:
            cut, cache = path.rates_for(needed), CacheClass.NONE
            planned = TokenShape(needed, 0, 0, 0, shape.output_tokens, shape.reasoning_tokens)
        targets = path.targets.get(self._task_of(request.feature), ()) if path.targets else ()
        waits = bool(request.deferrable)
        self._deferrable += waits
        waits = waits and path.is_standard
        routed = cut
        wait, timed = Wait.NO, None
        reads: Reads | None = None
        if is_kept:
            if targets:
                target, routed = path.route(targets, cut, planned)
            if cache is CacheClass.TRACED and request.blocks:
                reads = target.reads(target.planned, at_s, planned.input_tokens, request.blocks)
            if waits:
                wait, timed = target.move(routed, target.ways(planned, reads))
        way = (
            request.feature, fate, wasted, own_cache, is_trimmed, id(target), wait,
            id(rates), id(cut), id(routed), id(timed),
        )  # fmt: skip
        cell = path.cells.get(way)
        if cell is None:
            cell = path.cells[way] = Cell(
                Way(
                    provider=path.provider,
                    model=path.model,
                    feature=request.feature,
                    standard=path.is_standard,
                    fate=fate,
                    wasted=wasted,
                    scored_as=path.scored_as,
                    target_provider=target.provider,
                    target_model=target.model,
                    trimmed=is_trimmed,
                    below_cliff=cut is not rates,
                    own_cache=own_cache,
                    cache=cache,
                    wait=wait,
                    sent=rates,
                    cut=cut,
                    routed=routed,
                    timed=routed if timed is None else timed,
                    own_charges=path.charges,
                    own_hourly=path.hourly,
                    charges=target.charges,
                    hourly=target.hourly,
                )
            )
        cell.add(request, own_reads, reads)
        if is_trimmed:
            cell.cut_input += needed
        if wasted is Fate.ASKED_AGAIN:
            cell.added += self._added(request)
        if path.is_standard:
            stays = target if is_kept and timed is None else None
            self._load(path, stays, at_s, shape, planned)
        if is_trimmed or target is not path or not is_kept:
            # Otherwise nothing came before in the plan: levers alone do what they do there.
            alone = path.route(targets, rates, shape)[1] if targets else rates
            if is_trimmed or not is_kept:
                cell.alone_route += rates.cost(shape) - alone.cost(shape)
            if waits:
                cell.add_alone(rates, shape, *path.move(rates, path.ways(shape, own_reads)))

    def _load(
        self, path: Path, stays: Path | None, at_s: float, sent: TokenShape, planned: TokenShape
    ) -> None:
        """Counts the load of a request as it was sent and, if it stays on demand, in the plan."""
        hour = int((at_s - self._day_start_s) // _HOUR_S)
        add_load(path.sent_hours, hour, sent.input_tokens, sent.output_tokens)
        if stays is not None:
            add_load(stays.planned_hours, hour, planned.input_tokens, planned.output_tokens)

    def _task_of(self, feature: str | None) -> str | None:
        return None if feature is None else self._tasks.get(feature)

    def _waste(self, request: LeverRequest, at_s: float, rates: Rates) -> Fate:
        """Whether the request failed, or asks for a truncated answer again."""
        fate = Fate.KEPT
        if (
            request.status is Status.OK
            and request.retry_of is None
            and request.finish_reason not in TRUNCATED
        ):
            return fate
        if request.retry_of is not None:
            self._retries += 1
            # Where reasoning has a price of its own, what the second answer adds has none.
            if rates.reasoning in (None, rates.output):
                first = self._truncated.get(request.retry_of)
                if first is not None and first[0] >= at_s - self._settings.retry_window_s:
                    fate = Fate.ASKED_AGAIN
        if request.finish_reason in TRUNCATED:
            self._truncated.set(at_s, request.record_id, (at_s, request.shape.output_tokens))
        if request.status is Status.ERROR:
            self._errors += 1
            if not request.unbilled:
                fate = Fate.FAILED
        return fate

    def _added(self, request: LeverRequest) -> int:
        """Output tokens beyond those of the truncated answer."""
        first = self._truncated.get(request.retry_of or "")
        return max(0, request.shape.output_tokens - (first[1] if first is not None else 0))

    def _is_repeated(self, request: LeverRequest, at_s: float) -> bool:
        """Whether a store of answers would have the answer; notes this one."""
        if request.temperature is None or request.temperature:
            return False
        self._hashed += 1
        content = (request.provider, request.model, request.request_hash or "")
        answered = self._answers.get(content)
        if request.status is Status.OK and request.finish_reason not in TRUNCATED:
            self._answers.set(at_s, content, at_s)
        return answered is not None and answered >= at_s - self._settings.answer_life_s

    def _needed(
        self, request: LeverRequest, at_s: float, path: Path, own_reads: Reads | None
    ) -> int:
        """Input tokens without the old turns of the conversation, where that pays."""
        self._in_sessions += 1
        session = (request.session_id or "", request.provider, request.model)
        turns = self._sessions.get(session)
        if turns is None:
            turns = Turns()
        self._sessions.set(at_s, session, turns)
        shape = request.shape
        needed = turns.add(
            at_s,
            shape.input_tokens,
            kept_turns=self._settings.kept_turns,
            window_s=SESSION_WINDOW_S,
        )
        if needed == shape.input_tokens:
            return needed
        rates = path.rates_for(shape.input_tokens)
        return needed if path.trim_pays(rates, shape, needed, own_reads) else shape.input_tokens

    def _new_prices(self, at_s: float) -> None:
        """Prices change at UTC midnight."""
        self._drop_paths()
        self._midnight_s = at_s // _DAY_S * _DAY_S
        for spent in [key for key, each in self._caches.items() if each.is_spent(at_s)]:
            del self._caches[spent]

    def _path_of(self, name: _Name, request: LeverRequest) -> Path | None:
        """What the model costs at the moment of the request; None where it has no price."""
        try:
            return self._paths[name]
        except KeyError:
            breaks = self._breaks.get(name)
            if breaks is None:
                breaks = self._breaks[name] = self._catalogue.day_breaks_s(name[0], name[1])
            if not breaks:
                return self._new_path(self._paths, name, name, request)
            key = (name, bisect_right(breaks, int(request.occurred_at.timestamp()) % _DAY_S))
            if key in self._paths_by_time:
                return self._paths_by_time[key]
            return self._new_path(self._paths_by_time, key, name, request)

    def _new_path(
        self,
        paths: dict[K, Path | None],
        key: K,
        name: _Name,
        request: LeverRequest,
    ) -> Path | None:
        provider, model, processing = name
        paths[key] = None
        at = request.occurred_at
        card = self._catalogue.card(provider, model, at, processing)
        listed = self._catalogue.listed(provider, model)
        if listed is None or not isinstance(card, RateCard):
            return None
        caches = self._caches.get((provider, model))
        if caches is None:
            caches = self._caches[provider, model] = Caches()
        path = paths[key] = Path(
            provider=provider,
            model=model,
            processing=processing,
            card=card,
            moves=find_moves(self._catalogue, name, at, card),
            caches=caches,
            is_timed=key != name,
            context_window=listed.context_window,
            scored_as=listed.model if self._scores.knows((listed.provider, listed.model)) else None,
        )
        if path.scored_as is not None and self._settings.quality_floor is not None:
            # The path is known by now, so two models that are as good as each other end here.
            path.targets = self._targets(path, listed, request, self._settings.quality_floor)
        return path

    def _targets(
        self, path: Path, listed: ListedModel, request: LeverRequest, floor: Decimal
    ) -> dict[str | None, tuple[Path, ...]]:
        """The models that may take over, by task; only tasks that have any."""
        targets: dict[str | None, tuple[Path, ...]] = {}
        for task in {None, *self._tasks.values()}:
            names = self._scores.as_good((listed.provider, listed.model), task, floor)
            others = [
                self._path_of((*name, path.processing), request)
                for name in names
                # This path may be used at another time of day than it is made.
                if not self._catalogue.day_breaks_s(*name)
            ]
            found = tuple(
                other for other in others if other is not None and path.can_cost_more_than(other)
            )
            if found:
                targets[task] = found
        return targets

    def _drop_paths(self) -> None:
        for path in (*self._paths.values(), *self._paths_by_time.values()):
            if path is not None:
                self._cells.extend(path.plain_cells.values())
                self._cells.extend(path.cells.values())
                for hours, loads in (
                    (path.hours, (self._loads, self._sent_loads)),
                    (path.planned_hours, (self._loads,)),
                    (path.sent_hours, (self._sent_loads,)),
                ):
                    for each in loads:
                        path.add_hours(hours, each)
        self._paths.clear()
        self._paths_by_time.clear()
        self._breaks.clear()
        self._midnight_s = _NEVER


def _plain_way(request: LeverRequest, path: Path, rates: Rates, cache: CacheClass) -> Way:
    return Way(
        provider=path.provider,
        model=path.model,
        feature=request.feature,
        standard=path.is_standard,
        fate=Fate.KEPT,
        wasted=Fate.KEPT,
        scored_as=path.scored_as,
        target_provider=path.provider,
        target_model=path.model,
        trimmed=False,
        below_cliff=False,
        own_cache=cache,
        cache=cache,
        wait=Wait.NO,
        sent=rates,
        cut=rates,
        routed=rates,
        timed=rates,
        own_charges=path.charges,
        own_hourly=path.hourly,
        charges=path.charges,
        hourly=path.hourly,
    )


def _loads(loads: Loads) -> tuple[ModelLoad, ...]:
    return tuple(
        ModelLoad(
            provider=provider,
            model=model,
            hours=tuple((hour, *sums) for hour, sums in sorted(hours.items())),
        )
        for (provider, model), hours in sorted(loads.items())
        if hours
    )
