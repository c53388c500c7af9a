"""The arithmetic of the adaptive limit, number by number."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longrun.shed.gradient import (
    Bounds,
    Estimate,
    Sample,
    aged,
    agrees,
    enough,
    next_interval,
    probe_limit,
    revised,
    room,
    unloaded,
    window_length,
)

WIDE = Bounds(1, 200)


def sample(latency: float = 1.0, *, calls: int = 10, drops: int = 0, in_flight: int = 16) -> Sample:
    """A window of ten calls that took a second each, sixteen at once."""
    return Sample(calls, latency, drops, in_flight)


@pytest.mark.parametrize(
    ("limit", "rooms"),
    [(1, (1, 1, 1, 1)), (2, (2, 2, 2, 2)), (10, (6, 8, 9, 10)), (20, (12, 16, 18, 20)), (200, (120, 160, 180, 200))],
)
def test_each_priority_has_its_share_of_the_limit(limit: int, rooms: tuple[int, ...]) -> None:
    """Sixty, eighty, ninety and a hundred per cent, rounded up."""
    assert room(limit) == rooms


@pytest.mark.parametrize(
    ("limit", "low", "found"), [(1.0, 1, 1), (4.0, 1, 1), (8.9, 1, 2), (20.0, 1, 5), (20.0, 5, 5), (20.0, 7, 7)]
)
def test_a_probe_has_a_quarter_of_the_limit_and_never_less_than_the_lowest(limit: float, low: int, found: int) -> None:
    """Whole calls, rounded down."""
    assert probe_limit(limit, Bounds(low, 200)) == found


@pytest.mark.parametrize(
    ("limit", "calls"), [(0.5, 1), (1.0, 1), (1.9, 1), (7.5, 7), (10.0, 10), (11.0, 10), (200.0, 10)]
)
def test_ten_calls_make_a_window_or_as_many_as_may_run_at_once(limit: float, calls: int) -> None:
    """A limit of one does not wait for ten."""
    assert enough(limit) == calls


@pytest.mark.parametrize(
    ("latency", "length"), [(0.0, 1.0), (0.9, 1.0), (1.0, 1.0), (1.5, 1.5), (30.0, 30.0), (31.0, 30.0)]
)
def test_a_window_lasts_one_latency_between_a_second_and_thirty(latency: float, length: float) -> None:
    """Shorter ones would run ahead of what they cause, longer ones would sleep."""
    assert window_length(latency) == length


@pytest.mark.parametrize(
    ("in_flight", "limit", "low", "quiet"),
    [(10, 20.0, 1, True), (11, 20.0, 1, False), (12, 25.0, 1, True), (13, 25.0, 1, False), (4, 5.0, 4, True),
     (5, 5.0, 4, False), (1, 1.0, 1, True), (0, 20.0, 1, True)],
)  # fmt: skip
def test_calls_that_use_at_most_half_of_the_limit_or_the_lowest_are_unloaded(
    in_flight: int, limit: float, low: int, quiet: bool
) -> None:
    """As far as this limit can tell, they cannot have queued behind one another."""
    assert unloaded(sample(in_flight=in_flight), limit, Bounds(low, 200)) is quiet


@pytest.mark.parametrize(
    ("baseline", "latency", "quiet", "probe", "after"),
    [
        (None, 3.0, False, False, 3.0), (None, 3.0, True, True, 3.0),
        (1.0, 2.0, False, True, 1.5), (2.0, 1.0, False, True, 1.5),
        (1.0, 2.0, True, False, 1.1), (2.0, 1.0, True, False, 1.9),
        (1.0, 2.0, False, False, 1.0), (2.0, 1.0, False, False, 1.9), (2.0, 2.0, False, False, 2.0),
    ],
)  # fmt: skip
def test_the_baseline_ages_by_a_tenth_in_passing_and_by_half_in_a_probe(
    baseline: float | None, latency: float, quiet: bool, probe: bool, after: float
) -> None:
    """The first measure is taken as it is; a slower one counts only where nothing can be queueing."""
    assert aged(baseline, sample(latency), quiet=quiet, probe=probe) == pytest.approx(after)


@pytest.mark.parametrize("baseline", [None, 2.0])
@pytest.mark.parametrize("probe", [False, True])
def test_a_window_without_a_call_that_ended_well_says_nothing_about_the_baseline(
    baseline: float | None, probe: bool
) -> None:
    """Drops have no latency."""
    assert aged(baseline, sample(0.0, calls=0, drops=5), quiet=True, probe=probe) == baseline


@pytest.mark.parametrize(
    ("baseline", "latency", "roughly"),
    [(None, 1.0, False), (1.0, 1.0, True), (1.0, 2.0, True), (1.0, 2.01, False), (2.0, 1.0, True), (2.01, 1.0, False),
     (1.0, 1.5, True), (1.5, 1.0, True), (0.0, 0.0, True), (0.0, 1.0, False)],
)  # fmt: skip
def test_a_measure_agrees_with_the_belief_up_to_twice_as_much(
    baseline: float | None, latency: float, roughly: bool
) -> None:
    """In both directions; with no belief there is nothing to agree with."""
    assert agrees(baseline, latency) is roughly


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_agreement_does_not_depend_on_who_is_asked(one: float, other: float) -> None:
    """What a belief says of a measure, the measure says of the belief."""
    assert agrees(one, other) is agrees(other, one)


def test_probes_come_ever_more_rarely_while_measures_agree_and_soon_again_when_they_do_not() -> None:
    """4, 8, 16, 32, 60, 60 windows; back to 2 at the first doubt."""
    intervals = [2]
    for _ in range(6):
        intervals.append(next_interval(intervals[-1], True))

    assert intervals == [2, 4, 8, 16, 32, 60, 60]
    assert [next_interval(interval, False) for interval in (2, 16, 60)] == [2, 2, 2]


@pytest.mark.parametrize(
    ("latency", "limit"),
    [
        (1.0, 16 + 0.8),  # no queueing: towards 16 + 4
        (1.25, 16 + 0.8),  # within the tolerance
        (2.0, 16 + (16 * 0.625 + 4 - 16) * 0.2),
        (2.5, 16 + (16 * 0.5 + 4 - 16) * 0.2),
        (100.0, 16 + (16 * 0.5 + 4 - 16) * 0.2),  # the gradient is never below one half
        (0.0, 16 + 0.8),
    ],
)
def test_the_limit_goes_a_fifth_of_the_way_to_limit_times_gradient_plus_queue(latency: float, limit: float) -> None:
    """From 16 calls at a baseline of a second, all of them in use."""
    found = revised(Estimate(16.0, 1.0), sample(latency), WIDE)

    assert found.limit == pytest.approx(limit)


@pytest.mark.parametrize(("limit", "queue"), [(4.0, 2.0), (9.0, 3.0), (16.0, 4.0), (100.0, 4.0)])
def test_the_queue_that_is_borne_is_the_root_of_the_limit_and_at_most_four(limit: float, queue: float) -> None:
    """A small limit does not double itself by its queue."""
    found = revised(Estimate(limit, 1.0), sample(in_flight=int(limit)), WIDE)

    assert found.limit == pytest.approx(limit + 0.2 * queue)


@pytest.mark.parametrize(("in_flight", "grown"), [(7, 0.0), (8, 0.8), (16, 0.8)])
def test_a_limit_of_which_less_than_half_is_used_stays(in_flight: int, grown: float) -> None:
    """Exactly half is used enough."""
    assert revised(Estimate(16.0, 1.0), sample(in_flight=in_flight), WIDE).limit == pytest.approx(16 + grown)


@pytest.mark.parametrize(
    ("calls", "drops", "moved"),
    [
        (100, 0, 0.8),
        (98, 2, 0.8),  # exactly a fiftieth: no more than before is lost
        (97, 3, 0.0),
        (90, 10, 0.0),  # exactly a tenth still holds
        (89, 11, -1.6),
        (0, 1, -1.6),
        (1, 1, -1.6),
    ],
)
def test_lost_calls_hold_the_limit_and_then_halve_where_it_goes(calls: int, drops: int, moved: float) -> None:
    """Up to 2 % it may grow, up to 10 % it holds, above it goes a fifth of the way to its half."""
    found = revised(Estimate(16.0, 1.0), sample(calls=calls, drops=drops), WIDE)

    assert found.limit == pytest.approx(16 + moved)


def test_while_some_calls_are_lost_the_limit_may_still_shrink_by_its_latency() -> None:
    """Holding is an upper bound, not a standstill."""
    found = revised(Estimate(16.0, 1.0), sample(2.5, calls=95, drops=5), WIDE)

    assert found.limit == pytest.approx(16 - 0.8)


def test_a_probe_measures_and_does_not_move_the_limit() -> None:
    """Its few calls say what the baseline is, and nothing of what the service bears; but losses in it count."""
    believed = Estimate(16.0, 1.0)

    measured = revised(believed, sample(3.0), WIDE, probe=True)
    lost = revised(believed, sample(3.0, calls=5, drops=5), WIDE, probe=True)

    assert (measured.limit, measured.baseline) == (16.0, 2.0)
    assert lost.limit == pytest.approx(14.4)


def test_without_a_baseline_the_first_window_that_ends_well_is_it() -> None:
    """And the limit grows by it at once: it is as fast as itself."""
    first = revised(Estimate(16.0), sample(3.0), WIDE)
    nothing = revised(Estimate(16.0), sample(0.0, calls=0, drops=0), WIDE)

    assert first.baseline == 3.0
    assert first.limit == pytest.approx(16.8)
    assert nothing == Estimate(16.0, None)
    assert revised(Estimate(16.0, 2.0), sample(0.0, calls=0, drops=0), WIDE) == Estimate(16.0, 2.0)


def test_the_limit_stops_exactly_at_its_bounds() -> None:
    """As whole numbers, whatever the arithmetic says."""
    within = Bounds(15, 16)

    high = revised(Estimate(15.9, 1.0), sample(), within).limit
    low = revised(Estimate(15.1, 1.0), sample(calls=0, drops=5), within).limit

    assert (high, low) == (16.0, 15.0)


@given(st.floats(1, 200), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_the_limit_is_the_published_formula(limit: float, baseline: float, latency: float) -> None:
    """Gradient2 with its gradient between one half and one, for any latency above the baseline."""
    latency += baseline  # slower, and in use: the baseline stays
    gradient = max(0.5, min(1.0, 1.25 * baseline / latency))
    plain = limit + 0.2 * (limit * gradient + min(4.0, math.sqrt(limit)) - limit)

    found = revised(Estimate(limit, baseline), sample(latency, in_flight=max(2, math.ceil(limit))), WIDE)

    assert found.baseline == baseline
    assert found.limit == pytest.approx(min(200.0, max(1.0, plain)))
