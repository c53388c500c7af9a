"""The window of a throttle: its slots, and clocks that go backward."""

import pytest

from longrun.shed.window import Window

#: Ten seconds in slots of half a second; a call under way counts as bad in the fifth slot.
LENGTH, SLOTS, GRACE = 10.0, 20, 4


def made(now: float = 0.0) -> Window:
    window = Window(LENGTH, SLOTS, GRACE)
    window.turn(now)
    return window


def count(window: Window, now: float, good: bool) -> None:
    """One call that began and ended at *now*."""
    window.turn(now)
    window.settle(window.begin(), good)


def test_a_new_window_stands_in_its_first_slot_and_has_counted_nothing() -> None:
    """The clock begins at 0."""
    window = Window(LENGTH, SLOTS, GRACE)

    assert (window.good, window.bad, window.newest.number) == (0, 0, 0)
    assert (window.begins, window.ends) == (0.0, 0.5)


@pytest.mark.parametrize(("now", "begins", "ends"), [(0.5, 0.5, 1.0), (3.3, 3.0, 3.5), (1000.49, 1000.0, 1000.5)])
def test_a_slot_says_from_when_to_when_it_is_the_newest(now: float, begins: float, ends: float) -> None:
    """Outside of that a turn is due."""
    window = made(now)

    assert (window.begins, window.ends) == (begins, ends)


def test_a_call_counts_for_as_long_as_its_slot_is_in_the_window() -> None:
    """Began in slot 6, forgotten with slot 26."""
    window = made()
    count(window, 3.3, good=True)
    count(window, 3.3, good=False)
    window.turn(12.9)
    before = (window.good, window.bad)

    window.turn(13.0)

    assert before == (1, 1)
    assert (window.good, window.bad) == (0, 0)


def test_a_call_under_way_is_bad_when_its_grace_is_over_and_what_it_was_when_it_ends() -> None:
    """Four slots later; cancelled ones leave no trace."""
    window = made(3.3)
    first, second = window.begin(), window.begin()
    seen = []

    for now in (3.4, 4.9, 5.0):
        window.turn(now)
        seen.append((window.good, window.bad))
    window.settle(first, good=True)
    seen.append((window.good, window.bad))
    window.cancel(second)

    assert seen == [(0, 0), (0, 0), (0, 2), (1, 1)]
    assert (window.good, window.bad) == (1, 0)


@pytest.mark.parametrize("back", [0.1, 0.4, 5.0, 9.5])
def test_a_clock_a_little_behind_changes_nothing(back: float) -> None:
    """That of another thread, read before; less than a window."""
    window = made()
    count(window, 20.0, good=True)
    count(window, 20.0, good=False)

    window.turn(20.0 - back)

    assert (window.good, window.bad, window.begins, window.newest.number) == (1, 1, 20.0, 40)


@pytest.mark.parametrize(("now", "number"), [(10.0, 20), (9.9, 19), (0.0, 0)])
def test_a_clock_a_window_behind_is_a_new_one_and_the_past_is_none_of_its_own(now: float, number: int) -> None:
    """All counts go, and calls that began before end without one."""
    window = made()
    for began in (18.0, 19.5, 20.0):
        count(window, began, good=True)
        count(window, began, good=False)
    late, cancelled = window.begin(), window.begin()

    window.turn(now)
    window.settle(late, good=False)
    window.cancel(cancelled)

    assert (window.good, window.bad, window.newest.number) == (0, 0, number)
    assert window.begins <= now < window.ends
    count(window, now, good=True)
    assert (window.good, window.bad) == (1, 0)


def test_a_call_that_is_not_sent_is_bad_at_once_and_for_as_long_as_others() -> None:
    """No grace: nobody is under way."""
    window = made(3.3)

    window.refuse()
    now = window.bad
    window.turn(12.9)
    later = window.bad
    window.turn(13.0)

    assert (now, later, window.bad) == (1, 1, 0)
