"""What a circuit says of itself, field by field, in each state."""

from random import Random
from typing import Any

from longrun import circuit
from longrun.circuit.circuit import Circuit
from longrun.circuit.values import Answer, Change, Statistics


def made(**keywords: Any) -> Circuit:
    """A circuit of these settings at time 100."""
    return Circuit("upstream", circuit.breaker("upstream", **keywords).settings, 100.0, key=7, rng=Random(1))


def test_a_new_circuit_is_closed_and_free() -> None:
    """A first call need not ask."""
    one = made()

    assert (one.state, one.free, one.generation, one.reason) == ("closed", 1, 1, "new")
    assert repr(one) == "<Circuit upstream[7]: closed, new>"
    assert one.statistics(102.5) == Statistics("upstream", 7, "closed", "new", 2.5, None, 0, 0, 0, 0, 0, 0, 0)


def test_without_calls_there_is_no_rate_and_without_a_key_or_a_wait_a_change_has_none() -> None:
    """Nothing is divided by nothing; what is not said is None."""
    change, counts = Change("closed", "disabled", "why"), made().statistics(100.0)

    assert (counts.failure_rate, counts.slow_rate) == (0.0, 0.0)
    assert (change.key, change.wait) == (None, None)


def test_a_circuit_without_a_key_prints_none() -> None:
    """Most have none."""
    one = Circuit("upstream", circuit.breaker("upstream").settings, 0.0)

    assert repr(one) == "<Circuit upstream: closed, new>"


def test_an_open_circuit_says_why_since_when_until_when_and_whom_it_refused() -> None:
    """Refusals are counted one by one, and over all openings."""
    one = made(threshold=2, open_for=30)
    one.report(one.free, 101.0, True, False)
    change = one.report(one.free, 102.0, True, False)

    answers = [one.admit(now) for now in (103.0, 104.0, 105.0)]

    reason = "2 failures in a row"
    assert change == Change("closed", "open", reason, 7, 30.0)
    assert answers == [Answer(0, 29.0), Answer(0, 28.0), Answer(0, 27.0)]
    assert one.statistics(106.0) == Statistics("upstream", 7, "open", reason, 4.0, 26.0, 0, 0, 0, 3, 0, 0, 1)


def test_the_probe_that_cools_the_circuit_carries_the_change() -> None:
    """From open to half-open, with the time that has passed, and with no wait."""
    one = made(threshold=1, open_for=30)
    one.report(one.free, 100.0, True, False)

    answer = one.admit(130.0)

    assert answer == Answer(one.generation, None, Change("open", "half_open", "30 s have passed", 7, None))
    assert one.admit(130.5) == Answer(0, 0.0)
    assert one.statistics(131.0) == Statistics(
        "upstream", 7, "half_open", "30 s have passed", 1.0, None, 0, 0, 0, 1, 1, 0, 1
    )


def test_each_probe_that_is_released_gives_one_place_back() -> None:
    """As one that ends, but it is no success."""
    one = made(threshold=1, open_for=30, probes=3, successes=4)
    one.report(one.free, 100.0, True, False)
    seen = []

    for probe in [one.admit(130.0).generation for _ in range(3)]:
        one.release(probe)
        seen.append((one.statistics(131.0).probing, one.statistics(131.0).successes))

    assert seen == [(2, 0), (1, 0), (0, 0)]


def test_each_probe_that_ends_gives_one_place_back() -> None:
    """Three in flight, one done: two in flight."""
    one = made(threshold=1, open_for=30, probes=3, successes=4)
    one.report(one.free, 100.0, True, False)
    probes = [one.admit(130.0).generation for _ in range(3)]
    seen = []

    for probe in probes:
        one.report(probe, 131.0, False, False)
        seen.append((one.statistics(131.0).probing, one.statistics(131.0).successes))

    assert seen == [(2, 1), (1, 2), (0, 3)]


def test_a_clock_that_went_backward_makes_no_state_last_less_than_nothing() -> None:
    """Another event loop's clock, in tests."""
    assert made().statistics(40.0).seconds == 0.0


def test_a_ramp_says_that_it_is_one() -> None:
    """Half-open without a probe in flight, and then how long it went well."""
    one = made(threshold=1, open_for=30, ramp=60)
    one.report(one.free, 100.0, True, False)
    one.report(one.admit(130.0).generation, 131.0, False, False)
    ramping = one.statistics(131.0)

    done = one.admit(191.0)

    assert ramping.reason == "a probe succeeded, a growing share of the calls follows"
    assert (ramping.state, ramping.probing, ramping.successes) == ("half_open", 0, 1)
    assert done.change == Change("half_open", "closed", "went well for 60 s of ramp", 7, None)
    assert one.statistics(191.0).openings == 0


def test_a_ramp_lets_its_first_call_in_and_then_every_tenth() -> None:
    """Whoever is refused may come again at once."""
    one = made(threshold=1, open_for=30, ramp=60)
    one.report(one.free, 100.0, True, False)
    one.report(one.admit(130.0).generation, 131.0, False, False)

    answers = [one.admit(131.0) for _ in range(10)]

    assert answers == [Answer(one.generation)] + [Answer(0, 0.0)] * 9
    assert one.statistics(131.0).rejected == 9


def test_on_a_ramp_the_window_slides_as_in_a_closed_circuit() -> None:
    """A failure a window ago does not count with the one that comes now."""
    one = made(minimum=2, failure_rate=1.0, window=10, open_for=30, ramp=1000)
    for _ in range(2):
        one.report(one.free, 100.0, True, False)
    one.report(one.admit(130.0).generation, 131.0, False, False)
    ramp = one.generation

    first = one.report(ramp, 140.0, True, False)
    later = one.report(ramp, 160.0, True, False)
    both = one.report(ramp, 161.0, True, False)

    assert (first, later) == (None, None)
    assert both == Change("half_open", "open", "2 of 2 calls failed within 10 s on the ramp", 7, 60.0)


def test_chance_is_the_one_that_was_given_or_ones_own() -> None:
    """The same seed, the same open time; without one there is chance all the same."""
    settings = circuit.breaker("upstream", threshold=1, open_for=30, jitter=0.5).settings
    waits = []
    for rng in (Random(1), Random(1), Random(2), None):
        one = Circuit("upstream", settings, 0.0, rng=rng)
        one.report(one.free, 0.0, True, False)
        waits.append(one.statistics(0.0).retry_after)

    assert waits[0] == waits[1] != waits[2]
    assert waits[3] is not None
    assert 15 <= waits[3] <= 45
