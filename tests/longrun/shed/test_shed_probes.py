"""Probes of the limiter: when they begin, what they measure, how they end."""

import pytest

from longrun.shed.gradient import Bounds, room
from longrun.shed.limiter import AdaptiveStatistics, Limiter
from tests.longrun.shed.calls import CRITICAL, begin, made, never, window


def windows_until_a_probe(one: Limiter, at: float, takes: float = 1.0) -> tuple[int, float]:
    """How many windows with the whole limit in use it takes, and when it is over."""
    count = 0
    while not one.statistics().probing:
        window(one, at, takes)
        at += takes
        count += 1
        assert count < 100
    return count, at


def probe(one: Limiter, at: float, takes: float = 1.0, chance: float = 0.0) -> float:
    """The calls of a whole probe, one after the other; when it is over."""
    for _ in range(10):
        assert one.statistics().probing
        (ticket,) = begin(one, at, 1)
        one.finish(at, at + takes, ticket, lambda: chance)
        at += takes
    assert not one.statistics().probing
    return at


def test_after_two_windows_with_the_limit_in_use_a_probe_begins() -> None:
    """A quarter of the limit, whoever asks; what runs already runs on."""
    one = made()
    window(one, 0.0)
    before = one.statistics().probing

    window(one, 1.0)

    assert not before
    assert one.statistics() == AdaptiveStatistics(21, 0, room(5), True, 1.0, 1.0)
    assert [one.admit(2.0, CRITICAL) for _ in range(6)] == [-1, -2, -3, -4, -5, 0]


def test_a_probe_measures_the_ten_calls_that_began_in_it() -> None:
    """Who began before does not count, and the eleventh has an ordinary ticket."""
    one = made()
    window(one, 0.0)
    early = begin(one, 1.0, 2)
    window(one, 1.0)
    for _ in range(9):
        one.finish(2.0, 4.0, begin(one, 2.0, 1)[0], never)

    one.finish(1.0, 100.0, early[0], never)
    one.drop(1.0, 100.0, early[1], never)
    tenth, eleventh = begin(one, 2.0, 2)
    one.finish(2.0, 100.0, eleventh, never)
    still = one.statistics().probing
    one.finish(2.0, 4.0, tenth, never)

    assert (tenth, eleventh, still) == (-1, 2, True)
    assert one.statistics() == AdaptiveStatistics(21, 0, room(21), False, 1.0, 1.5)


@pytest.mark.parametrize("end", ["finish", "drop"])
def test_a_call_that_began_in_the_instant_of_the_probe_but_before_it_does_not_count(end: str) -> None:
    """Its ticket tells the two apart where the clock cannot."""
    one = made()
    window(one, 0.0)
    (early,) = begin(one, 2.0, 1)
    window(one, 1.0)
    for _ in range(9):
        one.finish(2.0, 4.0, begin(one, 2.0, 1)[0], never)

    getattr(one, end)(2.0, 100.0, early, never)
    still = one.statistics().probing
    one.finish(2.0, 4.0, begin(one, 2.0, 1)[0], never)

    assert (early, still) == (1, True)
    assert (one.statistics().probing, one.statistics().limit, one.statistics().baseline) == (False, 21, 1.5)


def test_what_an_older_probe_let_in_does_not_count_in_this_one() -> None:
    """Its ticket says probe, its beginning says which: whatever way it ends."""
    one = made(20, Bounds(1, 30))
    _, at = windows_until_a_probe(one, 0.0)
    old = begin(one, at, 3)
    full = begin(one, at, 2)
    extra = one.admit(at + 100.0, CRITICAL)  # time is up, and the limit is learned from again
    for ticket in (*full, extra):
        one.release(at, ticket)
    _, later = windows_until_a_probe(one, at + 100.0)

    one.finish(at, later + 50.0, old[0], never)
    one.drop(at, later + 50.0, old[1], never)
    one.release(at, old[2])
    limit = one.statistics().limit
    probe(one, later, 2.0)

    assert extra == 6
    assert one.in_flight == 0
    assert one.statistics().limit == limit
    assert one.statistics().baseline == pytest.approx(1.5)


def test_a_probe_that_agrees_makes_the_next_one_come_later_and_chance_spreads_it() -> None:
    """After 2, then 4, 8, ... windows, up to 15 % more."""
    counts = []
    for chance in (0.0, 0.5, 0.999):
        one, row = made(20, Bounds(1, 30)), []
        at = 0.0
        for _ in range(3):
            count, at = windows_until_a_probe(one, at)
            row.append(count)
            at = probe(one, at, chance=chance)
        counts.append(row)

    # 4 and 8 windows, times 1.075 and 1.15, rounded up
    assert counts == [[2, 4, 8], [2, 5, 9], [2, 5, 10]]


def test_a_probe_that_disagrees_makes_the_next_one_come_soon() -> None:
    """Three times as slow as believed."""
    one = made(20, Bounds(1, 30))
    first, at = windows_until_a_probe(one, 0.0)
    at = probe(one, at, 3.0)
    believed = one.statistics().baseline
    second, _ = windows_until_a_probe(one, at, 3.0)

    assert (first, second) == (2, 2)
    assert believed == pytest.approx(2.0)


def test_a_window_that_shows_the_baseline_by_itself_puts_the_probe_off() -> None:
    """Half of the limit in use is as good as a probe."""
    one = made(20, Bounds(1, 30))
    window(one, 0.0)
    window(one, 1.0, beside=10)

    count, _ = windows_until_a_probe(one, 2.0)

    assert count == 2


def test_a_window_without_a_call_that_ended_well_does_not_count_toward_a_probe() -> None:
    """It has no latency to doubt."""
    one = made(20, Bounds(1, 30))
    window(one, 0.0)
    for ticket in begin(one, 1.0, 10):
        one.drop(1.0, 2.0, ticket, never)

    assert not one.statistics().probing


def test_where_a_quarter_is_not_below_the_limit_there_is_no_probe() -> None:
    """At the lowest limit every window shows the baseline."""
    one = made(20, Bounds(20, 20))

    for at in range(20):
        window(one, float(at))

    assert not one.statistics().probing
    assert one.statistics().limit == 20


def test_a_limit_that_has_come_down_to_the_lowest_is_not_probed() -> None:
    """The calls of the window ran above it; a probe would be no quieter."""
    one = made(11, Bounds(10, 11))
    window(one, 0.0)
    tickets = begin(one, 1.0, 11)
    for ticket in tickets[:2]:
        one.drop(1.0, 1.5, ticket, never)

    for ticket in reversed(tickets[2:]):
        one.finish(1.0, 2.0, ticket, never)

    assert one.statistics() == AdaptiveStatistics(10, 0, room(10), False, 1.0, 1.0)


def test_a_probe_whose_calls_do_not_end_is_over_after_fourteen_latencies_and_a_second() -> None:
    """The next call that finds no room ends it; nothing is learned from what did not end."""
    one = made()
    _, at = windows_until_a_probe(one, 0.0, 2.0)
    begin(one, at, 5)

    refused = one.admit(at + 28.9, CRITICAL)
    let_in = one.admit(at + 29.0, CRITICAL)

    assert (refused, let_in) == (0, 6)
    assert one.statistics() == AdaptiveStatistics(21, 6, room(21), False, 2.0, 2.0)


@pytest.mark.parametrize(("measured", "baseline", "windows"), [(0, 1.0, 2), (1, 1.5, 4)])
def test_a_probe_that_is_overdue_measures_what_has_ended_if_all_that_began_has(
    measured: int, baseline: float, windows: int
) -> None:
    """One call is a measure, and it agrees; none is none, and the next probe comes no later for it."""
    one = made()
    window(one, 0.0)
    held = begin(one, 1.0, 4)
    window(one, 1.0)
    for _ in range(measured):
        one.finish(2.0, 4.0, begin(one, 2.0, 1)[0], never)

    answer = one.admit(100.0, 0)  # more run than a probe has room for at its priority
    believed = one.statistics().baseline
    for ticket in (*held, answer):
        one.release(1.0, ticket)
    following, _ = windows_until_a_probe(one, 100.0)

    assert (answer, believed, following) == (5, baseline, windows)


def test_a_call_that_finds_no_room_after_an_overdue_probe_either_is_refused() -> None:
    """More calls than its priority may have run already."""
    one = made(30)
    window(one, 0.0)
    begin(one, 1.0, 19)
    window(one, 1.0, beside=10)
    probing = one.statistics().probing

    low, normal = one.admit(1000.0, 0), one.admit(1000.0, 1)

    assert probing
    assert room(one.statistics().limit)[0] == 19
    assert (low, normal) == (0, 20)
    assert not one.statistics().probing


def test_a_probe_that_misses_a_call_measures_nothing() -> None:
    """The quick ones end first; without the slow one the mean would be too low. One that was cancelled is no loss."""
    one = made()
    _, at = windows_until_a_probe(one, 0.0)
    cancelled = begin(one, at, 2)
    for ticket in cancelled:
        one.release(at, ticket)

    probe(one, at, 2.0)

    assert one.statistics().baseline == pytest.approx(1.5)


def test_drops_in_a_probe_count_as_calls_of_it_and_shrink_the_limit() -> None:
    """Ten of ten lost."""
    one = made()
    _, at = windows_until_a_probe(one, 0.0)

    for _ in range(10):
        one.drop(at, at + 0.5, begin(one, at, 1)[0], never)

    assert one.statistics() == AdaptiveStatistics(19, 0, room(19), False, 1.0, 1.0)
