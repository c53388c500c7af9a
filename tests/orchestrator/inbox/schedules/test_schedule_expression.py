"""Expressions as the tables hold them."""

import sys
from datetime import UTC, datetime
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cron import Cron, CronError
from orchestrator.inbox.errors import InvalidSchedule
from orchestrator.inbox.schedules.expression import narrow, understood

START = datetime(2026, 3, 1, tzinfo=UTC)

#: A day of the week, a range, a step: what a user may write between commas.
DAYS = st.one_of(
    st.integers(0, 7).map(str),
    st.sampled_from(["MON", "SUN", "MON-FRI", "*", "*/2", "*/7"]),
    st.tuples(st.integers(0, 7), st.integers(0, 7)).map(lambda pair: f"{min(pair)}-{max(pair)}"),
    st.tuples(st.integers(0, 7), st.integers(1, 8)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
    st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(1, 8)).map(
        lambda three: f"{min(three[:2])}-{max(three[:2])}/{three[2]}"
    ),
)


@given(st.lists(DAYS, min_size=1, max_size=3).map(",".join))
def test_the_days_that_are_stored_are_the_days_that_were_written(days):
    """Without a 7, and without a step that ends where programs disagree."""
    written = Cron.parse(f"0 9 * * {days}")

    stored = narrow(f"0 9 * * {days}", "UTC")

    assert list(islice(stored.fires(START), 20)) == list(islice(written.fires(START), 20))
    assert "7" not in (stored.fields or "").split()[4].replace("*/7", "")


@pytest.mark.parametrize("text", ["", "x", "@every 5m", "* * *", "TZ=UTC 0 9 * *", "0 9 * * * * 2030", "* * * * * *"])
def test_no_remedy_is_one_that_a_schedule_refuses_as_well(text):
    """Neither seconds nor intervals, which cron expressions have elsewhere."""
    with pytest.raises(InvalidSchedule, match="give") as refused:
        narrow(text, "UTC")

    said = str(refused.value)
    assert repr(text) in said
    assert "or six" not in said
    assert "every 5m" not in said.replace(repr(text), "")


def test_without_cronsim_a_schedule_is_refused_with_what_to_install(monkeypatch):
    """And not with an interval as the way out."""
    monkeypatch.setitem(sys.modules, "cronsim", None)

    with pytest.raises(InvalidSchedule, match=r"pip install 'longrun-orchestrator\[cron\]'$"):
        narrow("0 9 * * *", "UTC")


def test_one_word_that_is_no_macro_is_offered_them():
    """In place of the fields."""
    with pytest.raises(InvalidSchedule, match=r"'daily' has 1 field; give five: minute .*, or @hourly, @daily"):
        narrow("daily", "UTC")


@pytest.mark.parametrize(
    ("stored", "zone", "meant"),
    [
        ("0 9 ? * MON", "UTC", Cron.parse("0 9 * * MON")),
        ("0 9 1 * ?", "UTC", Cron.parse("0 9 1 * *")),
        ("0 9 * * *", "", Cron.parse("0 9 * * *")),
        ("CRON_TZ=Asia/Tokyo 0 9 * * *", "UTC", Cron.parse("0 9 * * *", "Asia/Tokyo")),
        ("TZ=Asia/Tokyo 0 9 ? * *", "Europe/Berlin", Cron.parse("0 9 * * *", "Asia/Tokyo")),
        ("@daily", "Asia/Tokyo", Cron.parse("@daily", "Asia/Tokyo")),
        ("15 9 * * * 30", "UTC", Cron.parse("30 15 9 * * *")),
    ],
)
def test_what_other_programs_store_is_understood_as_they_mean_it(stored, zone, meant):
    """Of six fields, theirs has the seconds last."""
    assert understood(stored, zone) == meant


@pytest.mark.parametrize("stored", ["", "* * * *", "0 0 9 * * * 2027", "@reboot", "H 0 * * *", "0 0 31 2 *", "?"])
def test_what_means_nothing_certain_is_refused(stored):
    """It is the ticker's to park it."""
    with pytest.raises(CronError):
        understood(stored, "UTC")
