"""Ask and TypedRef as mypy sees them: what fits passes, and what does not is refused in its line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import apex_actors

ROOT = Path(apex_actors.__file__).parents[1]

MESSAGES = """
from dataclasses import dataclass
from typing import Any, assert_type

import pykka

from apex_actors.actors import ActorRef, Ask, LoopActor, TypedRef


@dataclass(frozen=True)
class Add:
    number: int


@dataclass(frozen=True)
class AddFast(Add):
    pass


@dataclass(frozen=True)
class GetTotal(Ask[int]):
    pass


@dataclass(frozen=True)
class GetNames(Ask[list[str]]):
    prefix: str = ""


class Totals(LoopActor):
    def __init__(self, first: int) -> None:
        super().__init__()

    def on_receive(self, message: object) -> object:
        return message


ref = Totals.start(1)
"""

GOOD = """
assert_type(ref, ActorRef[Totals])


async def replies_are_known() -> None:
    assert_type(await ref.ask_async(GetTotal()), int)
    assert_type(await ref.ask_async(GetTotal(), timeout=1), int)
    assert_type(ref.ask(GetTotal()), int)
    assert_type(ref.ask(GetTotal(), block=True, timeout=1), int)
    assert_type(ref.ask(GetTotal(), block=False), pykka.Future[int])
    assert_type(await ref.ask(GetNames(), block=False), list[str])
    total: int = await ref.ask_async(GetTotal())
    names: list[str] = ref.ask(GetNames("a"))
    print(total + 1, names[0].upper())


async def other_messages_may_be_anything() -> None:
    assert_type(await ref.ask_async("text"), Any)
    assert_type(ref.ask(Add(1)), Any)
    ref.tell({"a": 1})


def adds(target: TypedRef[Add]) -> None:
    target.tell(Add(1))
    target.tell(AddFast(1))
    assert_type(target.is_alive(), bool)


totals: TypedRef[Add | GetTotal] = ref
totals.tell(Add(1))
totals.tell(GetTotal())
adds(ref)
adds(totals)
whatever: TypedRef[object] = ref
adds(whatever)
fast: TypedRef[AddFast] = totals
assert_type(ref.stop(block=True), bool)
assert_type(ref.stop(block=False).get(), bool)
"""

BAD = """
async def a_reply_is_not_something_else() -> None:
    (await ref.ask_async(GetTotal())).upper()  # refused
    ref.ask(GetTotal()).upper()  # refused
    ref.ask(GetTotal(), block=False).upper()  # refused
    total = await ref.ask_async(GetTotal())
    name: str = total  # refused
    numbers = await ref.ask_async(GetNames())
    print(sum(numbers))  # refused
    await ref.ask_async()  # refused
    ref.ask(GetTotal(), within=3)  # refused


totals: TypedRef[Add | GetTotal] = ref
totals.tell("text")  # refused
totals.tell(GetNames())  # refused
totals.tell(Add("one"))  # refused
totals.tell(lane=None)  # refused


def fast_only(target: TypedRef[AddFast]) -> None:
    target.tell(Add(1))  # refused
    anything: TypedRef[object] = target  # refused
    adds: TypedRef[Add] = target  # refused


names: TypedRef[GetNames] = totals  # refused
actor: ActorRef[LoopActor] = "no ref"  # refused
not_a_ref: TypedRef[Add] = Add(1)  # refused
"""


@pytest.fixture(scope="module")
def mypy(tmp_path_factory):
    """Check a snippet as strictly as can be: the numbers of its lines with errors."""
    folder = tmp_path_factory.mktemp("typed")

    def check(snippet):
        path = folder / "snippet.py"
        path.write_text(MESSAGES + snippet, encoding="utf-8")
        options = ["--strict", "--config-file=", f"--cache-dir={folder / 'cache'}"]
        silent = ["--follow-imports=silent", "--no-error-summary", "--hide-error-context"]
        checked = subprocess.run(
            [sys.executable, "-m", "mypy", *options, *silent, str(path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.stderr == ""
        found = re.findall(r"^.*?:(\d+): error: (.*)$", checked.stdout, re.MULTILINE)
        return {int(number): text for number, text in found}

    return check


def test_what_fits_passes(mypy):
    assert mypy(GOOD) == {}


def test_what_does_not_fit_is_refused(mypy):
    lines = (MESSAGES + BAD).splitlines()
    to_refuse = {number for number, line in enumerate(lines, 1) if "# refused" in line}
    assert mypy(BAD).keys() == to_refuse
