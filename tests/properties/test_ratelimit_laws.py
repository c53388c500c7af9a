"""GCRA and the line: never more starts than the rate allows, no token lost, order kept."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from longrun.ratelimit.gcra import Gcra
from longrun.ratelimit.line import Line
from longrun.ratelimit.settings import Settings, checked
from longrun.waiter import Phase

limits = st.builds(Gcra, interval=st.floats(1e-3, 100), burst=st.integers(1, 20))
pauses = st.lists(st.floats(0, 50), max_size=60)


def starts_of(gcra: Gcra, pauses: list[float]) -> list[float]:
    """When calls start that are made one after another, with *pauses* between, each waiting for its token."""
    arrival, now, starts = -math.inf, 0.0, []
    for pause in pauses:
        now += pause
        now += gcra.wait(arrival, now)
        arrival = gcra.take(arrival, now)
        starts.append(now)
    return starts


@given(limits, pauses)
def test_no_window_holds_more_starts_than_the_rate_and_the_burst_allow(gcra: Gcra, pauses: list[float]) -> None:
    """Between the first and the last of any n starts lie at least n - burst intervals."""
    starts = starts_of(gcra, pauses)

    for first in range(len(starts)):
        for last in range(first, len(starts)):
            count = last - first + 1
            assert starts[last] - starts[first] >= (count - gcra.burst) * gcra.interval - 1e-6


@given(limits, st.integers(1, 60))
def test_nobody_waits_longer_than_the_rate_asks(gcra: Gcra, count: int) -> None:
    """The n-th of a crowd starts exactly n - burst intervals after the first."""
    starts = starts_of(gcra, [0.0] * count)

    assert starts == pytest.approx([max(0, n + 1 - gcra.burst) * gcra.interval for n in range(count)], abs=1e-6)


@given(limits, st.integers(0, 60), st.integers(0, 60))
def test_whoever_stands_behind_others_waits_until_they_have_their_tokens(gcra: Gcra, taken: int, before: int) -> None:
    """One interval for each token that has been taken, or will be, beyond the burst."""
    arrival = -math.inf
    for _ in range(min(taken, gcra.burst)):
        arrival = gcra.take(arrival, 5.0)

    wait = gcra.wait(arrival, 5.0, before)

    missing = min(taken, gcra.burst) + before + 1 - gcra.burst
    assert wait == pytest.approx(max(0, missing) * gcra.interval, abs=1e-6)


@given(limits, pauses, st.floats(0, 100))
def test_tokens_are_as_many_as_can_be_taken(gcra: Gcra, pauses: list[float], idle: float) -> None:
    """The count by value is the count by trying, between 0 and the burst."""
    arrival, now = -math.inf, 0.0
    for start in starts_of(gcra, pauses):
        arrival, now = gcra.take(arrival, start), start
    now += idle
    tokens = gcra.tokens(arrival, now)

    taken = 0
    while not gcra.wait(arrival, now + 2e-9):  # a token that is due within rounding may count either way
        arrival, taken = gcra.take(arrival, now + 2e-9), taken + 1

    assert 0 <= tokens <= gcra.burst
    assert tokens <= taken <= tokens + 1


@given(limits, st.floats(0, 1e9), st.floats(0, 1e9))
def test_a_clock_that_goes_back_makes_nobody_wait_longer_than_one_token(gcra: Gcra, now: float, back: float) -> None:
    """What an instant of a lost time says is not believed; a token later there is a token."""
    line: Line[Caller] = Line(Settings(1 / gcra.interval, 1.0, gcra.burst, None))
    while line.take(now):
        pass
    earlier = max(0.0, now - back)
    waiter = Caller(1)

    turn = line.join(waiter, earlier, math.inf)

    assert turn.wait <= gcra.interval * (1 + 1e-6) + 1e-6
    if turn.answer == "queued":
        assert line.claim(waiter, earlier + gcra.interval * (1 + 1e-6) + 1e-6)[0] == 0


@given(limits, pauses)
def test_a_token_taken_at_once_is_the_same_token(gcra: Gcra, pauses: list[float]) -> None:
    """The short way of a line gives and refuses what the arithmetic does."""
    line: Line[Caller] = Line(Settings(1 / gcra.interval, 1.0, gcra.burst, None))
    exact = Settings(1 / gcra.interval, 1.0, gcra.burst, None).gcra()
    arrival, now = -math.inf, 0.0

    for pause in pauses:
        now += pause
        wait = exact.wait(arrival, now)
        if abs(wait) < 1e-6 and wait:
            return  # within rounding of the instant either answer is right
        assert line.take(now) == (not wait)
        if not wait:
            arrival = exact.take(arrival, now)


@given(st.floats(1e-6, 1e6), st.floats(1e-3, 1e6))
def test_a_burst_that_is_not_given_is_what_comes_in_one_period(rate: float, per: float) -> None:
    """A whole number, at least one."""
    assert checked(rate, per, None, None).burst == max(1, math.floor(rate))


class Caller:
    """A waiter of the model."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.phase: Phase = "waiting"


class LineMachine(RuleBasedStateMachine):
    """The model is a bucket that is filled in whole steps of one second, and a list of who waits."""

    BURST, QUEUE = 3, 4

    def __init__(self) -> None:
        super().__init__()
        self.line: Line[Caller] = Line(Settings(1.0, 1.0, self.BURST, self.QUEUE))
        self.now = 0
        self.bucket = self.BURST
        self.waiting: list[Caller] = []
        self.number = 0

    @rule(seconds=st.integers(1, 5))
    def pass_time(self, seconds: int) -> None:
        """Tokens come in while nobody takes them."""
        self.now += seconds
        self.bucket = min(self.BURST, self.bucket + seconds)

    @rule()
    def take(self) -> None:
        """A newcomer overtakes nobody."""
        taken = self.line.take(self.now)

        assert taken == (self.bucket > 0 and not self.waiting)
        self.bucket -= taken

    @rule(left=st.sampled_from([0.5, 1, 2, 3.5, math.inf]))
    def join(self, left: float) -> None:
        """The wait that is told is the wait that it will be, if nobody leaves."""
        self.number += 1
        caller, before = Caller(self.number), len(self.waiting)

        turn = self.line.join(caller, self.now, left)

        assert turn.before == before
        assert turn.wait == pytest.approx(max(0, before + 1 - self.bucket), abs=1e-6)
        if not before and self.bucket:
            assert turn.answer == "admitted"
            self.bucket -= 1
        elif before == self.QUEUE:
            assert turn.answer == "full"
        elif max(0, before + 1 - self.bucket) >= left:
            assert turn.answer == "late"
        else:
            assert turn.answer == "queued"
            self.waiting.append(caller)
        assert caller.phase == ("admitted" if turn.answer == "admitted" else "waiting")
        if turn.answer in ("full", "late"):
            assert self.line.withdraw(caller) is None  # it never stood in the line, and wakes nobody

    @precondition(lambda self: self.waiting)
    @rule()
    def claim(self) -> None:
        """The head takes the token when there is one, and the next becomes the head."""
        wait, following = self.line.claim(self.waiting[0], self.now)

        assert wait == pytest.approx(0 if self.bucket else 1, abs=1e-6)
        if not wait:
            assert self.waiting.pop(0).phase == "admitted"
            assert following is (self.waiting[0] if self.waiting else None)
            self.bucket -= 1

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        """Whoever leaves takes no token along; only a new head has to be woken, and only once."""
        index = data.draw(st.integers(0, len(self.waiting) - 1))
        caller = self.waiting.pop(index)

        following = self.line.withdraw(caller)

        assert following is (self.waiting[0] if self.waiting and not index else None)
        assert self.line.withdraw(caller) is None
        assert caller.phase == "left"

    @invariant()
    def counts_are_those_of_the_model(self) -> None:
        """By value."""
        counts = self.line.statistics(self.now)
        assert (counts.tokens, counts.queued) == (0 if self.waiting else self.bucket, len(self.waiting))


TestLine = LineMachine.TestCase
