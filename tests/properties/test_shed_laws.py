"""Laws of shedding: limits stay in their bounds, odds are odds, permits are conserved, and rank is respected."""

import math

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from longrun.shed.gradient import SHARES, Bounds, Estimate, Sample, probe_limit, revised, room
from longrun.shed.limiter import Limiter
from longrun.shed.odds import patience, slowed, throttled, tolerances
from longrun.shed.throttling import ThrottleSettings, ThrottleState
from longrun.shed.window import Slot, Window

counts = st.integers(0, 10**6)
bounds = st.tuples(st.integers(1, 500), st.integers(0, 500)).map(lambda pair: Bounds(pair[0], pair[0] + pair[1]))
samples = st.builds(Sample, calls=counts, latency=st.floats(0, 1e6), drops=counts, in_flight=st.integers(0, 1000))


@given(bounds, st.floats(0, 1), st.none() | st.floats(0, 1e6), st.lists(samples, max_size=30), st.booleans())
def test_the_limit_stays_within_its_bounds(
    within: Bounds, where: float, baseline: float | None, row: list[Sample], probe: bool
) -> None:
    """Whatever is measured; and a window moves it by a tenth down or four fifths of a call up at most."""
    estimate = Estimate(within.low + where * (within.high - within.low), baseline)

    for sample in row:
        before, estimate = estimate, revised(estimate, sample, within, probe=probe)
        assert within.low <= estimate.limit <= within.high
        assert 0.9 * before.limit - 1e-9 <= estimate.limit <= before.limit + 0.8 + 1e-9
        assert within.low <= probe_limit(estimate.limit, within) <= max(within.low, estimate.limit)


@given(bounds, st.floats(0, 1), st.floats(1e-3, 100), st.integers(1, 1000))
def test_a_limit_in_use_without_queueing_grows_and_one_not_in_use_does_not(
    within: Bounds, where: float, latency: float, calls: int
) -> None:
    """From anywhere, the bottom included: nothing sticks; nothing grows that nobody needs."""
    limit = within.low + where * (within.high - within.low)
    busy = Sample(calls, latency, 0, math.ceil(limit))
    idle = Sample(calls, latency, 0, math.ceil(limit / 2) - 1)

    assert revised(Estimate(limit, latency), busy, within).limit > limit or limit + 0.2 > within.high
    assert revised(Estimate(limit, latency), idle, within).limit == limit


@given(bounds, st.floats(0, 1), st.floats(1e-3, 100), st.integers(1, 1000))
def test_a_slower_window_moves_the_baseline_only_where_our_calls_cannot_be_queueing(
    within: Bounds, where: float, baseline: float, in_flight: int
) -> None:
    """At most half of the limit in use, or the limit at its lowest; a faster window is believed anywhere."""
    limit = within.low + where * (within.high - within.low)
    believed = Estimate(limit, baseline)

    slower = revised(believed, Sample(10, baseline * 3, 0, in_flight), within).baseline
    faster = revised(believed, Sample(10, baseline / 3, 0, in_flight), within).baseline

    assert slower is not None
    assert (slower > baseline) == (in_flight <= limit / 2 or in_flight <= within.low)
    assert faster is not None
    assert faster < baseline


@given(bounds, st.floats(0, 1), st.floats(1e-3, 100), counts, counts)
def test_drops_shrink_and_never_grow(within: Bounds, where: float, latency: float, calls: int, drops: int) -> None:
    """Above a tenth they shrink; above a fiftieth nothing grows."""
    limit = within.low + where * (within.high - within.low)
    after = revised(Estimate(limit, latency), Sample(calls, latency, drops, math.ceil(limit)), within).limit
    lost = drops / max(1, calls + drops)

    if lost > 0.1:
        assert after < limit or limit == within.low
    elif lost > 0.02:
        assert after <= limit


@given(st.integers(1, 10_000))
def test_there_is_room_for_one_of_each_and_more_for_the_more_important(limit: int) -> None:
    """Ordered, at least one, and all of the limit for critical calls."""
    rooms = room(limit)

    assert list(rooms) == sorted(rooms)
    assert rooms[0] >= 1
    assert rooms[-1] == limit
    assert len(rooms) == len(SHARES)


@given(counts, counts, st.floats(1.01, 100), st.floats(0.01, 0.99))
def test_the_odds_of_the_throttle_are_the_published_ones_and_fall_with_the_rank(
    bad: int, accepts: int, k: float, most: float
) -> None:
    """In [0, max]; 0 for a healthy service at every rank; never more for the more important."""
    requests = bad + accepts
    odds = [throttled(requests, accepts, each, most) for each in patience(k)]

    assert odds == sorted(odds, reverse=True)
    assert all(0 <= each <= most for each in odds)
    assert throttled(accepts, accepts, patience(k)[0], most) == 0
    assert odds[1] == min(most, max(0.0, (requests - k * accepts) / (requests + 1)))


@given(counts, counts, st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_the_odds_of_slow_calls_start_at_the_quantile_and_fall_with_the_rank(
    slow: int, fast: int, quantile: float, most: float
) -> None:
    """In [0, max]; positive for normal calls only when the quantile is above the limit; the most when all are slow."""
    odds = [slowed(slow + fast, fast, each, most) for each in tolerances(quantile)]

    assert odds == sorted(odds, reverse=True)
    assert all(0 <= each <= most for each in odds)
    assert (odds[1] > 0) == (slow + fast > 0 and slow / (slow + fast) > 1 - quantile)
    if slow and not fast:
        assert odds == [most] * 4


@given(st.lists(st.booleans(), max_size=200), st.floats(0, 1, exclude_max=True))
def test_in_one_state_with_one_draw_nobody_is_admitted_where_a_more_important_call_is_refused(
    answers: list[bool], draw: float
) -> None:
    """The throttle as a whole, asked by each rank in a state of its own that has seen the same."""
    admitted = []
    for level in range(4):
        state = ThrottleState(ThrottleSettings(2.0, 120.0, 0.9, 10, None))
        for good in answers:
            with state.window.lock:
                slot = state.window.begin()
            state.window.settle(slot, good)
        admitted.append(state.admit(0.0, level, lambda: draw) is not None)

    assert admitted == sorted(admitted)


class WindowModel(RuleBasedStateMachine):
    """The window against a plain list of calls."""

    SIZE, GRACE = 5, 2

    def __init__(self) -> None:
        super().__init__()
        self.window = Window(5.0, self.SIZE, self.GRACE)
        self.now = 0.0
        self.ended: list[tuple[int, bool]] = []
        self.open: list[tuple[int, Slot]] = []

    @rule(step=st.sampled_from([0.1, 0.5, 1.0, 1.7, 4.0, 30.0]))
    def time_passes(self, step: float) -> None:
        self.now += step
        with self.window.lock:
            self.window.turn(self.now)

    @rule(back=st.floats(0, 0.5))
    def another_thread_read_the_clock_before(self, back: float) -> None:
        with self.window.lock:
            self.window.turn(max(0.0, self.now - back))

    @rule()
    def begin(self) -> None:
        self.open.append((int(self.now), self.window.begin()))

    @rule()
    def refuse(self) -> None:
        self.window.refuse()
        self.ended.append((int(self.now), False))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 99), good=st.booleans())
    def settle(self, which: int, good: bool) -> None:
        began, slot = self.open.pop(which % len(self.open))
        self.window.settle(slot, good)
        self.ended.append((began, good))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 99))
    def cancel(self, which: int) -> None:
        _began, slot = self.open.pop(which % len(self.open))
        self.window.cancel(slot)

    @invariant()
    def counts_are_those_of_the_list(self) -> None:
        newest = int(self.now)
        live = [good for began, good in self.ended if began > newest - self.SIZE]
        overdue = sum(newest - self.SIZE < began <= newest - self.GRACE for began, _slot in self.open)
        assert self.window.good == sum(live)
        assert self.window.bad == len(live) - sum(live) + overdue


class LimiterModel(RuleBasedStateMachine):
    """Permits of the limiter against a list of those who hold one, through windows and probes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.held: list[tuple[float, int]] = []

    @initialize(low=st.integers(1, 5), initial=st.integers(0, 30), high=st.integers(0, 30))
    def start(self, low: int, initial: int, high: int) -> None:
        self.bounds = Bounds(low, low + initial + high)
        self.limiter = Limiter(low + initial, self.bounds)

    @rule(rank=st.integers(0, 3))
    def ask(self, rank: int) -> None:
        before = self.limiter.statistics()
        ticket = self.limiter.admit(self.now, rank)
        after = self.limiter.statistics()
        if ticket:
            self.held.append((self.now, ticket))
            assert len(self.held) <= after.room[rank]
        else:
            assert len(self.held) >= after.room[rank]
            assert after.in_flight == before.in_flight

    @rule(calls=st.integers(1, 30), rank=st.integers(0, 3))
    def ask_often(self, calls: int, rank: int) -> None:
        for _ in range(calls):
            self.ask(rank)

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 99), how=st.sampled_from(["finish", "drop", "release"]), takes=st.floats(0, 3))
    def end(self, which: int, how: str, takes: float) -> None:
        self.now += takes
        began, ticket = self.held.pop(which % len(self.held))
        self._end(how, began, ticket)

    @precondition(lambda self: self.held)
    @rule(takes=st.floats(0, 3))
    def all_finish(self, takes: float) -> None:
        self.now += takes
        for began, ticket in self.held:
            self._end("finish", began, ticket)
        self.held.clear()

    def _end(self, how: str, began: float, ticket: int) -> None:
        if how == "release":
            self.limiter.release(began, ticket)
        elif how == "finish":
            self.limiter.finish(began, self.now, ticket, lambda: 0.5)
        else:
            self.limiter.drop(began, self.now, ticket, lambda: 0.5)

    @invariant()
    def permits_are_conserved_and_the_limit_is_in_bounds(self) -> None:
        if not hasattr(self, "limiter"):
            return
        seen = self.limiter.statistics()
        assert seen.in_flight == len(self.held)
        assert self.bounds.low <= seen.limit <= self.bounds.high
        assert self.bounds.low <= seen.room[-1] <= seen.limit


TestWindowAgainstAList = WindowModel.TestCase
TestLimiterAgainstHolders = LimiterModel.TestCase
