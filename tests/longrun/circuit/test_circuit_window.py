"""The sliding window: it counts what a list of all calls would count, to the width of a bucket."""

from hypothesis import given
from hypothesis import strategies as st

from longrun.circuit.window import BUCKETS, Window

#: Steps of a quarter of a bucket, exact in binary, so that the model needs no tolerance.
LENGTH = 10.0
CALLS = st.lists(st.tuples(st.integers(0, 60), st.booleans(), st.booleans()), max_size=60)


@given(CALLS)
def test_the_window_counts_the_buckets_that_a_list_of_all_calls_says(calls: list[tuple[int, bool, bool]]) -> None:
    """Totals equal those of an unbounded list, whatever the gaps."""
    window, seen, now = Window(LENGTH), [], 1000.0

    for gap, failed, slow in calls:
        now += gap / 4
        window.add(now, failed, slow)
        seen.append((now // 1.0, failed, slow))

        inside = [(failed, slow) for step, failed, slow in seen if step > now // 1.0 - BUCKETS]
        assert window.calls == len(inside)
        assert window.failures == sum(failed for failed, _ in inside)
        assert window.slow == sum(slow for _, slow in inside)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.booleans(), st.booleans()), max_size=40), st.floats(0.001, 1e6))
def test_counts_stay_whole_even_when_the_clock_jumps(calls: list[tuple[float, bool, bool]], length: float) -> None:
    """Forward, backward, below zero: 0 <= failures <= calls <= all calls, and the newest call is always counted."""
    window = Window(length)

    for count, (now, failed, slow) in enumerate(calls, 1):
        window.add(now, failed, slow)

        assert 1 <= window.calls <= count
        assert int(failed) <= window.failures <= window.calls
        assert int(slow) <= window.slow <= window.calls


def test_a_call_leaves_the_window_after_its_length_and_not_before_nine_tenths_of_it() -> None:
    """The promised precision."""
    window = Window(10.0)
    window.add(0.5, True, True)

    window.slide(9.9)
    before = (window.calls, window.failures, window.slow)
    window.slide(10.5)

    assert before == (1, 1, 1)
    assert (window.calls, window.failures, window.slow) == (0, 0, 0)


def test_a_pause_longer_than_the_window_empties_it() -> None:
    """A year later nothing of it is left, and the next call counts alone."""
    window = Window(30.0)
    for second in range(30):
        window.add(float(second), True, False)

    window.add(31_536_000.0, False, False)

    assert (window.calls, window.failures) == (1, 0)


def test_clear_forgets_every_bucket() -> None:
    """Nothing comes back when the window slides on."""
    window = Window(10.0)
    for second in range(10):
        window.add(float(second), True, True)

    window.clear()
    window.add(9.0, False, False)
    window.slide(12.0)

    assert (window.calls, window.failures, window.slow) == (1, 0, 0)
