"""Token sums of requests that share their rates, and what they come to in money."""

from typing import NamedTuple

from apex_actors.costs.levers.line import LeverRequest
from apex_actors.costs.levers.output_steps import output_step
from apex_actors.costs.levers.tallies import CacheClass, CacheCosts, Fate, Row, Wait
from apex_actors.costs.rates import Rates, TokenShape
from apex_actors.costs.records import TRUNCATED


class Way(NamedTuple):
    """How requests go through the levers, with what they pay on the way."""

    provider: str
    model: str
    feature: str | None
    standard: bool
    fate: Fate
    wasted: Fate
    scored_as: str | None
    target_provider: str
    target_model: str
    trimmed: bool
    below_cliff: bool
    own_cache: CacheClass
    cache: CacheClass
    wait: Wait
    sent: Rates
    """What they pay as they were sent."""
    cut: Rates
    """With the trimmed context."""
    routed: Rates
    """At the model of the plan."""
    timed: Rates
    """At the time of the plan."""
    own_charges: bool
    own_hourly: bool
    charges: bool
    hourly: bool


Reads = tuple[int, int]
"""Tokens that a prompt reads if blocks live 5 minutes, and an hour."""


class Cell:
    """Sums over requests of one way. Small whole numbers only: money comes once, at the end."""

    __slots__ = (
        "added",
        "alone_batch",
        "alone_off_peak",
        "alone_route",
        "cut_input",
        "finish_reasons",
        "input",
        "long",
        "output",
        "outputs",
        "own_long",
        "own_read_1h",
        "own_read_5m",
        "read",
        "read_1h",
        "read_5m",
        "reasoning",
        "requests",
        "truncated",
        "way",
        "write_1h",
        "write_5m",
        "writing",
    )

    def __init__(self, way: Way) -> None:
        self.way = way
        self.requests = self.finish_reasons = self.truncated = self.writing = 0
        self.input = self.read = self.write_5m = self.write_1h = self.output = self.reasoning = 0
        self.cut_input = 0
        """Input that trimming left."""
        self.own_long = self.own_read_5m = self.own_read_1h = 0
        """Input long enough to be cached, and what of it is read; as the requests were sent."""
        self.long = self.read_5m = self.read_1h = 0
        """The same in the plan."""
        self.added = 0
        """Output that asking again added to a truncated answer."""
        self.alone_route = self.alone_batch = self.alone_off_peak = 0
        self.outputs: dict[int, list[int]] = {}

    def add(self, request: LeverRequest, own_reads: Reads | None, reads: Reads | None) -> None:
        """Takes a request in, and what it reads from a cache as it was sent and in the plan."""
        input_tokens, read, write_5m, write_1h, output, reasoning = request.shape
        self.requests += 1
        self.input += input_tokens
        self.output += output
        if reasoning:
            self.reasoning += reasoning
        if read or write_5m or write_1h:
            self.read += read
            self.write_5m += write_5m
            self.write_1h += write_1h
            if write_5m or write_1h:
                self.writing += 1
        finish_reason = request.finish_reason
        if finish_reason is not None:
            self.finish_reasons += 1
            if finish_reason in TRUNCATED:
                self.truncated += 1
        if own_reads is not None:
            self.own_long += input_tokens
            self.own_read_5m += own_reads[0]
            self.own_read_1h += own_reads[1]
        if reads is not None:
            self.long += input_tokens
            self.read_5m += reads[0]
            self.read_1h += reads[1]
        step = output_step(output)
        counts = self.outputs.get(step)
        if counts is None:
            self.outputs[step] = [1, output]
        else:
            counts[0] += 1
            counts[1] += output

    def add_alone(self, rates: Rates, shape: TokenShape, kind: Wait, moved: Rates | None) -> None:
        """What sending a request at another time would save if nothing else were done."""
        if moved is None:
            return
        units = rates.cost(shape) - moved.cost(shape)
        if kind is Wait.BATCH:
            self.alone_batch += units
        else:
            self.alone_off_peak += units

    def row(self) -> Row:
        """The sums in money."""
        way = self.way
        sent = self._costs(
            way.sent,
            self._shape(),
            way.own_cache,
            charges=way.own_charges,
            replayed=(self.own_long, self.own_read_5m, self.own_read_1h),
        )
        kept = way.fate is Fate.KEPT
        none = CacheCosts()
        replayed = (self.long, self.read_5m, self.read_1h)
        if way.trimmed:
            shape = TokenShape(self.cut_input, 0, 0, 0, self.output, self.reasoning)
        else:
            shape = self._shape()
        routed = (
            self._costs(way.routed, shape, way.cache, charges=way.charges, replayed=replayed)
            if kept
            else none
        )
        timed = routed
        if kept and way.timed is not way.routed:
            timed = self._costs(way.timed, shape, way.cache, charges=way.charges, replayed=replayed)
        moves = {
            Wait.BATCH: self.alone_batch,
            Wait.OFF_PEAK: self.alone_off_peak,
        }
        alone_route = self.alone_route
        plain = kept and not way.trimmed
        if plain:
            alone_route += sent.keep - routed.keep
            if way.wait in moves and way.routed is way.sent:
                moves[way.wait] += routed.keep - timed.keep
        trimmed_cost = 0
        alone_trim = 0
        if way.trimmed:
            cut = way.cut.cost(
                TokenShape(self.cut_input, 0, 0, 0, self.output, self.reasoning), self.requests
            )
            alone_trim = sent.keep - cut
            trimmed_cost = cut if kept else 0
        elif kept:
            trimmed_cost = sent.keep
        return Row(
            provider=way.provider,
            model=way.model,
            feature=way.feature,
            standard=way.standard,
            fate=way.fate,
            wasted=way.wasted,
            scored_as=way.scored_as,
            target_provider=way.target_provider,
            target_model=way.target_model,
            trimmed=way.trimmed,
            below_cliff=way.below_cliff,
            own_cache=way.own_cache,
            cache=way.cache,
            wait=way.wait,
            output_rates=(
                way.sent.least_output,
                way.cut.least_output,
                way.routed.least_output,
                way.timed.least_output,
            ),
            requests=self.requests,
            finish_reasons=self.finish_reasons,
            truncated=self.truncated,
            input_tokens=self.input,
            trimmed_tokens=self.input - self.cut_input if way.trimmed else 0,
            read_tokens=self.read,
            read_5m_tokens=self.read_5m,
            read_1h_tokens=self.read_1h,
            writing=self.writing,
            charging=self.requests if way.charges else 0,
            hourly=self.requests if way.hourly else 0,
            own_charging=self.requests if way.own_charges else 0,
            own_hourly=self.requests if way.own_hourly else 0,
            sent=sent,
            rest=self._rest(),
            trimmed_cost=trimmed_cost,
            routed=routed,
            timed=timed,
            alone_trim=alone_trim,
            alone_route=alone_route,
            alone_batch=moves[Wait.BATCH],
            alone_off_peak=moves[Wait.OFF_PEAK],
            outputs=tuple((step, *counts) for step, counts in sorted(self.outputs.items())),
        )

    def _shape(self) -> TokenShape:
        return TokenShape(
            self.input, self.read, self.write_5m, self.write_1h, self.output, self.reasoning
        )

    def _rest(self) -> int:
        """What is paid for what a second answer adds: its output beyond the first one's."""
        if self.way.wasted is not Fate.ASKED_AGAIN:
            return 0
        return self.added * (self.way.sent.output or 0)

    def _costs(
        self,
        rates: Rates,
        shape: TokenShape,
        cache: CacheClass,
        *,
        charges: bool,
        replayed: tuple[int, int, int],
    ) -> CacheCosts:
        keep = rates.cost(shape, self.requests)
        if cache is CacheClass.NONE:
            return CacheCosts(keep=keep, stop=keep, five_minutes=keep, one_hour=keep)
        input_tokens, output, reasoning = shape.input_tokens, shape.output_tokens, shape[5]
        stop = rates.cost(TokenShape(input_tokens, 0, 0, 0, output, reasoning), self.requests)
        if cache is CacheClass.UNTRACED:
            return CacheCosts(keep=keep, stop=stop, five_minutes=keep, one_hour=keep)
        long, read_5m, read_1h = replayed
        # Where writes have no price of their own, the rest is plain input.
        return CacheCosts(
            keep=keep,
            stop=stop,
            five_minutes=rates.cost(
                TokenShape(
                    input_tokens, read_5m, long - read_5m if charges else 0, 0, output, reasoning
                ),
                self.requests,
            ),
            one_hour=rates.cost(
                TokenShape(
                    input_tokens, read_1h, 0, long - read_1h if charges else 0, output, reasoning
                ),
                self.requests,
            ),
        )
