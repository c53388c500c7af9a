"""The machine itself: time comes in as an argument, so every case is written down without a clock."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from longrun import circuit
from longrun.circuit.circuit import Circuit
from longrun.testing import isolated

with isolated():
    BASE = circuit.breaker("upstream", threshold=1).settings


def made(**keywords: Any) -> Circuit:
    """A circuit of these settings at time 0."""
    return Circuit("upstream", circuit.breaker("upstream", **keywords).settings, 0.0, rng=Random(1))


def end(one: Circuit, now: float, failed: bool = False, slow: bool = False) -> None:
    """One whole call that is let in and ends at *now*."""
    generation = one.free or one.admit(now).generation
    assert generation, "the call was refused"
    one.report(generation, now, failed, slow)


def trip(one: Circuit, now: float = 0.0) -> None:
    """Fail until it is open."""
    for _ in range(100):
        if one.state == "open":
            return
        end(one, now, failed=True)
    raise AssertionError("a hundred failures do not open it")


def test_consecutive_mode_opens_at_the_threshold_and_a_success_breaks_the_row() -> None:
    """Two failures, a success, two failures: closed. The third in a row opens."""
    one = made(threshold=3)
    for failed in (True, True, False, True, True):
        end(one, 0.0, failed)
    before = one.state

    end(one, 0.0, failed=True)

    assert (before, one.state) == ("closed", "open")
    assert one.reason == "3 failures in a row"


def test_rate_mode_does_not_open_below_its_minimum() -> None:
    """Nine failures of nine are no rate yet."""
    one = made(minimum=10)
    for _ in range(9):
        end(one, 0.0, failed=True)

    assert one.state == "closed"


def test_a_success_that_completes_the_minimum_can_open_the_circuit() -> None:
    """Nine failures and one success are 90 % of ten."""
    one = made(minimum=10)
    for _ in range(9):
        end(one, 0.0, failed=True)

    end(one, 0.0)

    assert one.state == "open"
    assert one.reason == "9 of 10 calls failed within 30 s"


def test_the_rate_is_reached_when_it_is_met_exactly() -> None:
    """5 of 10 is 50 %; 4 of 10 is not."""
    below, met = made(failure_rate=0.5), made(failure_rate=0.5)
    for index in range(10):
        end(below, 0.0, failed=index >= 6)
        end(met, 0.0, failed=index >= 5)

    assert (below.state, met.state) == ("closed", "open")


def test_failures_that_have_left_the_window_do_not_open_it() -> None:
    """Nine failures, and half a minute later nine more."""
    one = made(minimum=10, window=30)
    for _ in range(9):
        end(one, 0.0, failed=True)
    for _ in range(9):
        end(one, 33.0, failed=True)

    assert one.state == "closed"
    assert one.statistics(33.0).failures == 9


def test_slow_calls_open_it_at_their_own_share() -> None:
    """Successes all of them, but half took too long."""
    one = made(minimum=4, slow_call=2, slow_rate=0.5)
    for slow in (False, False, True, True):
        end(one, 0.0, slow=slow)

    assert one.state == "open"
    assert one.reason == "2 of 4 calls took 2 s or longer within 30 s"


def test_in_consecutive_mode_a_slow_call_is_a_failure() -> None:
    """One failed, one slow: two in a row."""
    one = made(threshold=2, slow_call=2)
    end(one, 0.0, failed=True)
    end(one, 0.0, slow=True)

    assert one.state == "open"
    assert one.reason == "2 failures in a row, 1 of them slow"


def test_while_open_a_call_is_told_the_seconds_until_the_next_probe() -> None:
    """retry_after counts down to the instant at which a probe is let in."""
    one = made(threshold=1, open_for=30)
    trip(one)

    told = [one.admit(now).retry_after for now in (0.0, 10.0, 29.5)]
    probe = one.admit(30.0)

    assert told == [30.0, 20.0, 0.5]
    assert probe.generation
    assert one.state == "half_open"


@given(st.floats(0, 1e9), st.floats(0.001, 1000), st.floats(0, 0.999))
@example(start=2.3, open_for=5.0, share=0.13)  # 2.3 + 5.0 - (2.3 + 0.65) is a hair more than is left then
def test_who_waits_exactly_as_told_is_let_in(start: float, open_for: float, share: float) -> None:
    """Sums of floats do not refuse a caller for a nanosecond, wherever the clock stands."""
    one = Circuit("upstream", replace(BASE, open_for=open_for, open_cap=open_for), start)
    trip(one, start)
    later = start + share * open_for
    answer = one.admit(later)

    assert answer.generation or one.admit(later + (answer.retry_after or 0.0)).generation


def test_no_more_probes_are_let_in_than_successes_are_missing() -> None:
    """probes=2, successes=3: two at a time, and after two successes only one more."""
    one = made(threshold=1, open_for=10, probes=2, successes=3)
    trip(one)
    first, second, third = one.admit(10.0), one.admit(10.0), one.admit(10.0)
    one.report(first.generation, 10.0, False, False)
    one.report(second.generation, 10.0, False, False)

    last, refused = one.admit(10.0), one.admit(10.0)
    closed = one.report(last.generation, 10.0, False, False)

    assert (third.generation, third.retry_after) == (0, 0.0)
    assert (refused.generation, refused.retry_after) == (0, 0.0)
    assert closed is not None
    assert (closed.before, closed.after, closed.reason) == ("half_open", "closed", "3 probes succeeded")


@pytest.mark.parametrize(
    ("failed", "slow", "why"), [(True, False, "a probe failed"), (False, True, "a probe was slow")]
)
def test_one_bad_probe_opens_it_again(failed: bool, slow: bool, why: str) -> None:
    """Whatever the other probes say later."""
    one = made(threshold=1, open_for=10, probes=2, slow_call=1)
    trip(one)
    first, second = one.admit(10.0), one.admit(10.0)

    change = one.report(first.generation, 11.0, failed, slow)
    late = one.report(second.generation, 11.0, False, False)

    assert change is not None
    assert (change.before, change.after, change.reason) == ("half_open", "open", why)
    assert late is None
    assert one.state == "open"


def test_the_open_time_grows_with_each_relapse_up_to_its_cap_and_a_recovery_resets_it() -> None:
    """30, 60, 120, 200, 200 - and 30 again."""
    one, now, waits = made(threshold=1, open_for=30, open_cap=200), 0.0, []
    trip(one)
    for _ in range(5):
        waits.append(one.statistics(now).retry_after)
        now += waits[-1] or 0.0
        end(one, now, failed=True)
    now += 200.0
    end(one, now)
    recovered = one.state
    trip(one, now)

    assert waits == [30.0, 60.0, 120.0, 200.0, 200.0]
    assert recovered == "closed"
    assert one.statistics(now).retry_after == 30.0


def test_the_default_cap_is_ten_times_the_first_open_time_and_growth_1_keeps_it_constant() -> None:
    """The defaults say so."""
    growing, constant = (
        made(threshold=1, open_for=6),
        Circuit("other", circuit.breaker("other", threshold=1, open_for=6, growth=1).settings, 0.0),
    )
    longest = []
    for one in (growing, constant):
        now = 0.0
        trip(one)
        for _ in range(20):
            now += one.statistics(now).retry_after or 0.0
            end(one, now, failed=True)
        longest.append(one.statistics(now).retry_after)

    assert longest == [60.0, 6.0]


def test_jitter_spreads_the_open_time_by_its_share() -> None:
    """Many processes that opened together do not probe together."""
    settings = circuit.breaker("upstream", threshold=1, open_for=30, jitter=0.2).settings
    waits = set()
    for seed in range(50):
        one = Circuit("upstream", settings, 0.0, rng=Random(seed))
        trip(one)
        waits.add(one.statistics(0.0).retry_after)

    assert len(waits) == 50
    assert all(wait is not None and 24 <= wait <= 36 for wait in waits)


def test_a_call_admitted_while_closed_that_succeeds_beside_a_running_probe_does_not_close_it() -> None:
    """It carries the generation of another life."""
    one = made(threshold=1, open_for=10)
    early = one.free
    trip(one)
    probe = one.admit(10.0)

    change = one.report(early, 10.0, False, False)
    beside = one.admit(10.0)

    assert change is None
    assert one.state == "half_open"
    assert beside.generation == 0
    assert one.report(probe.generation, 10.0, False, False) is not None
    assert one.state == "closed"


@pytest.mark.parametrize("failed", [True, False])
def test_a_probe_of_an_older_round_that_reports_late_changes_nothing(failed: bool) -> None:
    """Neither the places, nor the successes, nor the state of the round that runs."""
    one = made(threshold=1, open_for=10, growth=1, probes=2)
    trip(one)
    old, bad = one.admit(10.0), one.admit(10.0)
    one.report(bad.generation, 10.0, True, False)
    running = one.admit(20.0)
    before = one.statistics(20.0)

    change = one.report(old.generation, 20.0, failed, False)
    one.release(old.generation)

    assert change is None
    assert one.statistics(20.0) == before
    assert (before.state, before.probing, before.successes) == ("half_open", 1, 0)
    assert running.generation != old.generation


def test_a_released_probe_frees_its_place_and_decides_nothing() -> None:
    """Cancelled, or ended by an error that is ignored: the next one may try."""
    one = made(threshold=1, open_for=10)
    trip(one)

    for _ in range(100):
        probe = one.admit(10.0)
        assert probe.generation
        assert not one.admit(10.0).generation
        one.release(probe.generation)

    assert one.state == "half_open"
    assert one.statistics(10.0).probing == 0


def test_a_probe_that_never_comes_back_gives_its_place_away_after_an_open_time() -> None:
    """No call that hangs for ever keeps the circuit from closing; if it comes back in time it counts."""
    one = made(threshold=1, open_for=10)
    trip(one)
    hanging = one.admit(10.0)

    early, second, third = one.admit(19.9), one.admit(20.0), one.admit(20.1)
    change = one.report(hanging.generation, 21.0, False, False)

    assert (early.generation, third.generation) == (0, 0)
    assert second.generation == hanging.generation
    assert change is not None
    assert one.state == "closed"
    assert one.report(second.generation, 22.0, True, False) is None


def test_a_clock_that_goes_backward_does_not_lengthen_the_open_time() -> None:
    """Opened at 1000, read at 5: due 30 s from there, not after 1025."""
    one = made(threshold=1, open_for=30)
    trip(one, 1000.0)

    told = one.admit(5.0).retry_after

    assert told == 30.0
    assert one.admit(35.0).generation


def test_on_a_ramp_a_growing_share_of_the_calls_runs_until_it_closes() -> None:
    """About a tenth at first, half in the middle, nearly all at the end, then all."""
    one = made(threshold=3, open_for=10, ramp=100)
    trip(one)
    end(one, 10.0)
    shares = []
    for start in (10.0, 60.0, 105.0):
        admitted = 0
        for _ in range(1000):
            answer = one.admit(start)
            if answer.generation:
                admitted += 1
                one.report(answer.generation, start, False, False)
        shares.append(admitted)
    ramping = one.state

    last = one.admit(110.0)

    assert [round(share / 1000, 2) for share in shares] == [0.1, 0.5, 0.95]
    assert ramping == "half_open"
    assert last.change is not None
    assert (last.change.before, last.change.after) == ("half_open", "closed")
    assert last.generation == one.free


def test_a_ramp_is_judged_like_a_closed_circuit() -> None:
    """One failure is borne, the threshold opens it again, for longer."""
    one = made(threshold=2, open_for=10, ramp=100)
    trip(one)
    end(one, 10.0)
    states = []
    for _ in range(2):
        while not (answer := one.admit(50.0)).generation:
            pass
        one.report(answer.generation, 50.0, True, False)
        states.append(one.state)

    assert states == ["half_open", "open"]
    assert one.reason == "2 failures in a row on the ramp"
    assert one.statistics(50.0).retry_after == 20.0


def test_an_idle_ramp_closes_with_the_first_call_after_it() -> None:
    """Time passes without calls too."""
    one = made(threshold=1, open_for=10, ramp=5)
    trip(one)
    end(one, 10.0)

    answer = one.admit(1000.0)

    assert answer.generation
    assert one.state == "closed"


def test_statistics_are_a_value_and_the_repr_is_for_operators() -> None:
    """Rates, counts and the reason at one moment."""
    one = made(minimum=4, slow_call=1)
    end(one, 1.0, failed=True)
    end(one, 2.0, slow=True)
    closed = one.statistics(3.0)
    trip(one, 3.0)
    one.admit(4.0)
    opened = one.statistics(5.0)

    assert (closed.calls, closed.failures, closed.slow, closed.seconds) == (2, 1, 1, 3.0)
    assert (closed.failure_rate, closed.slow_rate) == (0.5, 0.5)
    assert closed.retry_after is None
    assert (opened.state, opened.rejected, opened.openings, opened.retry_after) == ("open", 1, 1, 28.0)
    assert opened.failure_rate == 0.0
    assert repr(one).startswith("<Circuit upstream: open, ")
