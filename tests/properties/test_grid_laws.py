"""Laws of the grid of an interval task, against a model that walks it point by point."""

import math

from hypothesis import assume, given
from hypothesis import strategies as st

from longrun.task.grid import next_after, next_on_grid

# Thousandths, so that the model can count in whole numbers and rounding is the code's problem.
intervals = st.integers(5, 3_600_000)
anchors = st.integers(-10_000_000, 10_000_000)


def model(anchor: int, interval: int, due: int, now: int) -> tuple[int, int]:
    """The first point behind *now* and behind the one served, and how many between were passed over."""
    point = anchor
    while point > due:
        point -= interval
    while point + interval <= due:
        point += interval
    skipped = 0
    point += interval
    while point <= now:
        skipped += 1
        point += interval
    return point, skipped


@given(intervals, anchors, st.integers(0, 50), st.data())
def test_the_next_point_is_what_walking_the_grid_finds(
    interval: int, anchor: int, served: int, data: st.DataObject
) -> None:
    """Skip: the first point of the grid behind the end of the run; all between are counted."""
    due = anchor + served * interval
    now = due + data.draw(st.integers(0, 20 * interval))
    expected, skipped = model(anchor, interval, due, now)

    found = next_on_grid(anchor / 1000, interval / 1000, due / 1000, now / 1000, catch_up=False)

    assert math.isclose(found.due, expected / 1000, rel_tol=0, abs_tol=1e-6)
    assert found.skipped == skipped


@given(intervals, anchors, st.integers(0, 50), st.data())
def test_catching_up_makes_good_one_point_at_once(interval: int, anchor: int, served: int, data: st.DataObject) -> None:
    """Where skip would pass over n points, catch_up_one runs now and passes over n - 1."""
    due = anchor + served * interval
    now = due + data.draw(st.integers(0, 20 * interval))
    expected, skipped = model(anchor, interval, due, now)

    found = next_on_grid(anchor / 1000, interval / 1000, due / 1000, now / 1000, catch_up=True)

    if skipped:
        assert (found.due, found.skipped) == (now / 1000, skipped - 1)
    else:
        assert math.isclose(found.due, expected / 1000, rel_tol=0, abs_tol=1e-6)
        assert found.skipped == 0


@given(intervals, st.lists(st.integers(0, 5_000_000), min_size=1, max_size=30), st.booleans())
def test_every_point_is_either_served_or_counted(interval: int, lengths: list[int], catch_up: bool) -> None:
    """Over any row of runs: runs + skipped points = points of the grid so far."""
    assume(sum(lengths) < 10**9)
    step, due, now, runs, skipped = interval / 1000, 0.0, 0.0, 0, 0
    for length in lengths:
        now = max(now, due) + length / 1000
        runs += 1
        found = next_on_grid(0.0, step, due, now, catch_up=catch_up)
        assert found.due >= now - 1e-6
        skipped += found.skipped
        due = found.due

    points = math.floor(now / step + 1e-6) + 1
    caught_up_now = 1 if catch_up and due <= now else 0
    assert runs + skipped + caught_up_now == points


@given(st.floats(0.005, 1e5), st.floats(0, 1e9))
def test_a_fixed_delay_counts_from_the_end(interval: float, now: float) -> None:
    """Nothing is skipped, because there is no grid."""
    found = next_after(interval, now)

    assert (found.due, found.skipped) == (now + interval, 0)
