"""Durations, times and ages as people write and read them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.inbox import words


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0", 0),
        ("1.5", 1.5),
        ("250ms", 0.25),
        ("30s", 30),
        ("5m", 300),
        ("5 min", 300),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("7d", 604_800),
        ("2W", 1_209_600),
    ],
)
def test_a_duration_is_read(text, seconds):
    """Units may be joined; a number alone is seconds."""
    assert words.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-5m", "5x", "5m later", "1e3", "nan", "inf", "5mm", "m5", "½h", "1_0"])
def test_what_is_no_duration_is_refused_with_an_example(text):
    """One sentence that names the text."""
    with pytest.raises(ValueError, match=r"is no duration; write 30s, 5m, 1h30m"):
        words.seconds(text)


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_a_value_error(text):
    """Nothing else is raised, and no duration is below zero."""
    try:
        found = words.seconds(text)
    except ValueError:
        found = 0.0

    assert found >= 0


@pytest.mark.parametrize("text", ["2030-01-31T09:00:00Z", "2030-01-31T10:00:00+01:00", "2030-01-31 09:00+00:00"])
def test_a_time_names_its_zone(text):
    """All three are the same moment."""
    assert words.moment(text) == datetime(2030, 1, 31, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "why"), [("2030-01-31T09:00:00", "has no time zone"), ("tomorrow", "is no time"), ("", "is no time")]
)
def test_a_naive_time_or_none_is_refused(text, why):
    """With an example of a good one."""
    with pytest.raises(ValueError, match=f"{why}; write it as 2030-01-31T09:00:00Z"):
        words.moment(text)


def test_times_are_shown_in_utc():
    """Whatever zone they came with."""
    assert words.iso(datetime(2030, 1, 31, 10, tzinfo=timezone(timedelta(hours=1)))) == "2030-01-31T09:00:00Z"
    assert words.iso(None) is None


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (61, "1 min"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (11 * 3600 + 60, "11 h"),
        (86_400 + 3600, "1 d 1 h"),
        (40 * 86_400, "40 d"),
    ],
)
def test_a_length_of_time_is_said_in_one_or_two_units(length, said):
    """The second unit only where it matters."""
    assert words.span(length) == said


def test_a_moment_is_said_from_now():
    """Before, after, and just now."""
    now = datetime(2030, 1, 31, 9, tzinfo=UTC)

    said = [words.relative(now + timedelta(seconds=away), now) for away in (-300, 0.4, 7200)]

    assert said == ["5 min ago", "now", "in 2 h"]
