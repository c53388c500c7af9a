"""Missed fires: which are made up, and when the next one is."""

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cron import CatchUp, Cron, CronError, Fires, Missed, catch_up, due_fires, parse_missed

HOURLY = Cron.parse("@hourly")


def at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2025, 6, 1, hour, minute, second, tzinfo=UTC)


@pytest.mark.parametrize(
    ("missed", "now", "fires"),
    [
        ("run_once", at(5, 30), Fires((at(5),), at(6), dropped=True)),
        ("skip", at(5, 30), Fires((), at(6), dropped=True)),
        ("skip", at(5, 0, 59), Fires((at(5),), at(6), dropped=True)),
        (catch_up(3), at(5, 30), Fires((at(3), at(4), at(5)), at(6), dropped=True)),
        (catch_up(9), at(5, 30), Fires((at(2), at(3), at(4), at(5)), at(6))),
        ("run_once", at(2, 0, 10), Fires((at(2),), at(3))),
        ("skip", at(2), Fires((at(2),), at(3))),
        ("run_once", at(1, 59), Fires((), at(2))),
    ],
)
def test_an_outage_is_made_up_as_the_policy_says(missed: Missed, now: datetime, fires: Fires) -> None:
    """The fire of two o'clock was the next one when the outage began."""
    assert due_fires(HOURLY, now, missed, next_run_at=at(2)) == fires
    assert due_fires(HOURLY, now, missed, last=at(1)) == fires


def test_one_run_is_the_default() -> None:
    """Nothing said: one run stands for all that were missed."""
    assert due_fires(HOURLY, at(9, 30), last=at(1)).now == (at(9),)


def test_a_stored_fire_counts_though_the_expression_was_changed_since() -> None:
    """02:17 is no full hour, but it was promised."""
    assert due_fires(HOURLY, at(2, 20), next_run_at=at(2, 17)) == Fires((at(2, 17),), at(3))


def test_a_clock_that_was_set_back_repeats_nothing() -> None:
    """The last fire lies in the future now: the next one comes after it."""
    assert due_fires(HOURLY, at(2, 30), last=at(4)) == Fires((), at(5))
    assert due_fires(HOURLY, at(2, 30), next_run_at=at(5)) == Fires((), at(5))


@pytest.mark.parametrize("text", ["skip", "run_once", "catch_up(1)", "catch_up(1000)"])
def test_a_policy_is_read_as_it_is_written(text: str) -> None:
    """From configuration and back."""
    assert str(parse_missed(text)) == text


@pytest.mark.parametrize("text", ["", "SKIP", "catch_up", "catch_up(0)", "catch_up(1001)", "catch_up(-1)", "all", None])
def test_another_policy_is_refused(text: str) -> None:
    """The policies there are stand in the message."""
    with pytest.raises(CronError, match=r"skip, run_once or|whole number from 1 to 1000"):
        parse_missed(text)


@pytest.mark.parametrize("n", [0, 1001, True, 1.0, "3"])
def test_catching_up_is_bounded(n: object) -> None:
    """Between one fire and a thousand."""
    with pytest.raises(CronError, match="1 to 1000"):
        catch_up(n)  # type: ignore[arg-type]  # it is what is refused


@pytest.mark.parametrize("stored", [{}, {"last": at(1), "next_run_at": at(2)}, {"last": datetime(2025, 1, 1)}])  # noqa: DTZ001 - naive on purpose
def test_what_was_stored_is_one_moment_with_a_zone(stored: dict[str, datetime]) -> None:
    """Neither nothing, nor two of them, nor a naive one."""
    with pytest.raises(CronError):
        due_fires(HOURLY, at(5), **stored)


def test_ten_years_of_seconds_cost_no_time() -> None:
    """Three hundred million fires passed; only the latest are looked for."""
    began = time.perf_counter()

    fires = due_fires(Cron.parse("* * * * * *"), at(5), catch_up(10), last=at(5) - timedelta(days=3650))

    assert fires.now == tuple(at(5) - timedelta(seconds=back) for back in range(9, -1, -1))
    assert time.perf_counter() - began < 2


@given(
    st.sampled_from(["@hourly", "*/20 * * * *", "30 2 * * *", "every 7m", "0 9 * * MON,TUE"]),
    st.sampled_from(["UTC", "Europe/Berlin"]),
    st.floats(1740787200, 1761955200).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    st.timedeltas(timedelta(0), timedelta(days=4)),
    st.sampled_from(["skip", "run_once", CatchUp(1), CatchUp(3), CatchUp(500)]),
)
def test_what_is_made_up_is_a_suffix_of_what_passed(
    text: str, tz: str, last: datetime, outage: timedelta, missed: Missed
) -> None:
    """Rising, in (last, now], no more than allowed, the latest ones, and the next fire is the first after now."""
    cron, now = Cron.parse(text, tz), last + outage
    passed = []
    for fire in cron.fires(last):
        if fire > now:
            break
        passed.append(fire)

    fires = due_fires(cron, now, missed, last=last)

    allowed = missed.n if isinstance(missed, CatchUp) else 1
    expected = passed[-allowed:]
    if missed == "skip":
        expected = [fire for fire in expected if now - fire <= timedelta(seconds=60)]
    assert list(fires.now) == expected
    assert fires.next == cron.next(now)
    assert fires.dropped == (len(expected) < len(passed))
    assert all(earlier < later for earlier, later in pairwise([*fires.now, fires.next]))
