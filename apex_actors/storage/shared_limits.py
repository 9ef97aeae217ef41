"""Token buckets and counts of connections that many processes share through Redis or Valkey.

A process enforces limits by itself and tells now and then what it has let through; the answer is
what is left for everybody. Nothing here is asked before a message is let through.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, cast

from redis.exceptions import NoScriptError

from apex_actors.storage.cache import PREFIX, Cache, Client
from apex_actors.storage.errors import CacheUnavailableError

#: All keys of one shard lie in one slot of a cluster, so that one script may take many of them;
#: the shards are spread over the servers of a cluster. Processes must agree on the number.
SHARDS: Final = 16

#: Subjects that should go in one pipeline: packing and reading them keeps the event loop for some
#: 2 ms, and their scripts the server for some 4 ms.
SUBJECTS_PER_PIPELINE: Final = 250

#: How long counted connections are remembered unless they are told again, in seconds. Those of a
#: process that is not registered any more do not count, however fresh they are.
CONNECTION_LIFE_S: Final = 300.0

#: No process may be taken to live for longer without another word, in seconds.
LONGEST_LIFE_S: Final = 600.0

#: The clocks of a cluster's servers may differ by so much, in seconds: for so long after it told of
#: them, connections of a process that has died since still count.
CLOCK_SKEW_S: Final = 5.0

#: Bytes of a subject's hash: enough that two users never share a bucket by chance.
DIGEST_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class BucketTerms:
    """A bucket of all processes together: it fills at ``rate_per_s`` up to ``burst``."""

    rate_per_s: float
    burst: float

    def __post_init__(self) -> None:
        if not (self.rate_per_s > 0 and self.burst > 0):
            raise ValueError("a bucket needs a rate and a burst of more than nothing")


@dataclass(frozen=True, slots=True)
class Use:
    """What one process has let through for one subject since it told last.

    ``subject`` may be anything; only a hash of it is stored. ``taken`` is an amount for each
    bucket. ``connections`` is how many the process has now, ``known`` how many of those it has
    told of before.
    """

    subject: str
    taken: tuple[float, ...]
    connections: int = 0
    known: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What is left to all processes for a subject, just after its Use was counted.

    ``levels`` may be negative: more was let through than there was. ``elsewhere`` are the
    connections of the other processes; ``excess`` is how many of those that this process told
    of newly are over the cap.
    """

    levels: tuple[float, ...]
    elsewhere: int
    excess: int


@dataclass(frozen=True, slots=True)
class Membership:
    """The processes that live, this one among them, at ``listed_at_s`` of the server's clock.

    ``joined``: this one was not listed, and nothing that it had told before counts any more.
    """

    processes: frozenset[str]
    listed_at_s: float
    joined: bool


class SharedLimits:
    """One process's side of the shared limits; every failure is CacheUnavailableError.

    ``register`` must have been answered before ``exchange``, and again within ``life_s``
    seconds each time, or the process counts as dead. Its name must never be used again by
    another: what a dead process has told stays where it is until it expires.

    One key a subject, ``apex:limit:{SHARD}:KIND:HASH``, which expires when its buckets are full
    again and nobody is connected; one script call for each shard, in one pipeline.
    """

    def __init__(
        self, cache: Cache, *, process: str, life_s: float, clock_skew_s: float = CLOCK_SKEW_S
    ) -> None:
        if not process or any(character.isspace() for character in process):
            raise ValueError("a process needs a name without white space")
        if not 0 < life_s <= LONGEST_LIFE_S:
            raise ValueError(f"life_s must be more than nothing and at most {LONGEST_LIFE_S:.0f}")
        if clock_skew_s < 0:
            raise ValueError("clock_skew_s must not be less than nothing")
        self._cache = cache
        self._process = process
        self._life_s = life_s
        self._clock_skew_s = clock_skew_s
        self._membership: Membership | None = None
        self._exchange_script = _Script("limits_exchange.lua")
        self._register_script = _Script("limits_register.lua")

    async def register(self) -> Membership:
        """Say that this process lives for another ``life_s`` seconds, and list all that do."""
        lives = (_milliseconds(self._life_s), _milliseconds(LONGEST_LIFE_S))
        call = _Call((_processes_key(),), (self._process, *lives))
        async with self._cache.guarded() as client:
            (answer,) = await self._register_script.run(client, [call])
        listed_at_s, joined, *processes = answer
        membership = Membership(frozenset(processes), float(listed_at_s), bool(joined))
        self._membership = membership
        return membership

    async def leave(self) -> None:
        """Be listed no more: the others need not wait until this process counts as dead."""
        async with self._cache.guarded() as client:
            await client.zrem(_processes_key(), self._process)

    async def exchange(
        self,
        kind: str,
        terms: Sequence[BucketTerms],
        uses: Sequence[Use],
        *,
        window_s: float,
        connection_cap: int = 0,
    ) -> list[Standing]:
        """Count ``uses`` of subjects of one ``kind``; a Standing for each, in their order.

        ``window_s`` is the time in which all of it was let through. All go in one pipeline: more
        than SUBJECTS_PER_PIPELINE are better told in pages, because the event loop waits while
        they are packed. When this raises, some may have been counted; told again, those are
        counted twice, and their users wait longer than they had to.
        """
        if self._membership is None:
            raise RuntimeError("register() first: nobody else takes this process for living")
        head = self._head(terms, window_s, connection_cap)
        shards: dict[str, list[tuple[int, str]]] = {}
        for index, use in enumerate(uses):
            shard, key = _key(kind, use.subject)
            shards.setdefault(shard, []).append((index, key))
        batches = list(shards.values())
        calls = [
            _Call(
                tuple(key for _, key in batch),
                (*head, " ".join(_numbers(uses[index]) for index, _ in batch)),
            )
            for batch in batches
        ]
        async with self._cache.guarded() as client:
            answers = await self._exchange_script.run(client, calls)
        standings: dict[int, Standing] = {}
        for batch, answer in zip(batches, answers, strict=True):
            for (index, _), standing in zip(batch, _standings(answer, len(terms)), strict=True):
                standings[index] = standing
        return [standings[index] for index in range(len(uses))]

    def _head(
        self, terms: Sequence[BucketTerms], window_s: float, connection_cap: int
    ) -> tuple[str | float, ...]:
        membership = cast("Membership", self._membership)
        return (
            self._process,
            connection_cap,
            window_s,
            _milliseconds(CONNECTION_LIFE_S),
            membership.listed_at_s,
            self._clock_skew_s,
            len(terms),
            *(number for term in terms for number in (term.rate_per_s, term.burst)),
            len(membership.processes),
            *membership.processes,
        )


@dataclass(frozen=True, slots=True)
class _Call:
    keys: tuple[str, ...]
    arguments: tuple[str | float, ...]


class _Script:
    """A script that is sent by its hash, and whole to a server that does not know it."""

    def __init__(self, name: str) -> None:
        resource = files("apex_actors.storage") / "scripts" / name
        self._text = resource.read_text(encoding="utf-8")
        self._sha = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: Client, calls: Sequence[_Call]) -> list[Any]:
        """Run all calls in one pipeline; in a second one those that the server did not know."""
        answers = await self._pipeline(client, calls, known=True)
        unknown = [
            index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)
        ]
        if unknown:
            again = await self._pipeline(client, [calls[index] for index in unknown], known=False)
            for index, answer in zip(unknown, again, strict=True):
                answers[index] = answer
        for answer in answers:
            if isinstance(answer, Exception):
                raise CacheUnavailableError("Redis or Valkey does not run our scripts") from answer
        return answers

    async def _pipeline(self, client: Client, calls: Sequence[_Call], *, known: bool) -> list[Any]:
        async with client.pipeline(transaction=False) as pipeline:
            for call in calls:
                # By its plain name: redis-py keeps pipelines of a cluster from the method, because
                # it cannot tell by its arguments where a script goes; ours have keys of one slot.
                head = ("EVALSHA", self._sha) if known else ("EVAL", self._text)
                pipeline.execute_command(*head, len(call.keys), *call.keys, *call.arguments)
            return await pipeline.execute(raise_on_error=False)


def _standings(answer: str, buckets: int) -> Iterator[Standing]:
    words = answer.split()
    for begin in range(0, len(words), buckets + 2):
        end = begin + buckets
        levels = tuple(map(float, words[begin:end]))
        yield Standing(levels, int(words[end]), int(words[end + 1]))


def _numbers(use: Use) -> str:
    taken = " ".join(map(repr, use.taken))
    return f"{taken} {use.connections} {use.known}"


def _key(kind: str, subject: str) -> tuple[str, str]:
    """The shard of a subject, and its key."""
    # A name may be any text that a token or a socket has: surrogates too.
    digest = hashlib.blake2b(
        subject.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES
    ).hexdigest()
    shard = str(int(digest[:2], 16) % SHARDS)
    return shard, f"{PREFIX}:limit:{{{shard}}}:{kind}:{digest}"


def _processes_key() -> str:
    return f"{PREFIX}:limit:processes"


def _milliseconds(duration_s: float) -> int:
    return max(round(duration_s * 1000), 1)
