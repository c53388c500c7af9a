"""How the time of a stop is shared out, and whose word counts."""

import pytest

from longrun.task.stop import Stop


@pytest.mark.parametrize(
    ("timeout", "drain", "grace"), [(10.0, 7.0, 1.0), (30.0, 21.0, 3.0), (50.0, 35.0, 5.0), (100.0, 70.0, 5.0)]
)
def test_runs_get_seven_tenths_and_cancelled_ones_a_tenth_up_to_five_seconds(
    timeout: float, drain: float, grace: float
) -> None:
    """The hooks get what is left."""
    stop = Stop(timeout)

    assert (stop.timeout, stop.longest_drain, stop.grace) == pytest.approx((timeout, drain, grace))
    assert (stop.reason, stop.drain) == (None, 0.0)


def test_the_first_reason_and_its_drain_stay() -> None:
    """Whoever asks later is too late."""
    stop = Stop(100.0)

    stop.ask("first", 7.0)
    stop.ask("second", 9.0)

    assert (stop.reason, stop.drain) == ("first", 7.0)


def test_the_hooks_have_until_the_end_of_the_whole_time() -> None:
    """Counted from the stop; a runner that ends by itself counts from its end."""
    stop = Stop(100.0)
    by_itself = stop.hooks_deadline(40.0)

    stop.ask("told to", 7.0)
    stop.begin(50.0)

    assert (by_itself, stop.hooks_deadline(90.0)) == (140.0, 150.0)


def test_a_stop_may_be_shortened_before_it_drains() -> None:
    """A second signal can come at any moment; the time of the hooks stays."""
    stop = Stop(100.0)
    stop.ask("told to", 70.0)
    stop.begin(50.0)

    stop.shorten(52.0)

    assert (stop.reason, stop.hooks_deadline(52.0)) == ("told to", 150.0)
