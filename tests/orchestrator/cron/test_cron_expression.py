"""Expressions: what is understood, what is refused and how, and the laws of the value."""

import pickle
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.contracts import ContractError
from orchestrator.cron import Cron, CronError, ExpressionError, ZoneError, next_fire

NEW_YEAR = datetime(2025, 1, 1, tzinfo=UTC)
EXPRESSIONS = [
    "* * * * *",
    "*/15 9-17 * * MON-FRI",
    "0 0 1,15 * *",
    "0 9 * JAN-MAR MON",
    "0 0 L * *",
    "0 0 LW 1,2 *",
    "30 6 * * 5L",
    "0 0 * * FRI#2",
    "*/10 * * * * *",
    "15 0 12 * * 7",
    "5/20 3 ? * ?",
    "@hourly",
    "@daily",
    "@midnight",
    "@weekly",
    "@monthly",
    "@yearly",
    "@annually",
    "every 90s",
    "every 5m",
    "every 1h30m",
    "every 2d",
]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia"]
MOMENTS = st.floats(157766400, 2051222400).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("*/15 9-17 * * MON-FRI", "2025-01-01T09:00"),
        ("0 0 L * *", "2025-01-31T00:00"),
        ("0 0 LW 2,8 *", "2025-02-28T00:00"),
        ("30 6 * * 5L", "2025-01-31T06:30"),
        ("0 0 * * FRI#2", "2025-01-10T00:00"),
        ("15 0 12 * * 7", "2025-01-05T12:00:15"),
        ("5/20 3 ? * ?", "2025-01-01T03:05"),
        ("0 0 29 FEB *", "2028-02-29T00:00"),
        ("0 0 13 * FRI", "2025-01-03T00:00"),
        ("0 0 */13 * MON", "2025-01-27T00:00"),
        ("@hourly", "2025-01-01T01:00"),
        ("@Daily", "2025-01-02T00:00"),
        ("@midnight", "2025-01-02T00:00"),
        ("@weekly", "2025-01-05T00:00"),
        ("@monthly", "2025-02-01T00:00"),
        ("@yearly", "2026-01-01T00:00"),
        ("@annually", "2026-01-01T00:00"),
        ("CRON_TZ=Europe/Berlin 0 9 * * *", "2025-01-01T08:00"),
        ("TZ=Asia/Kolkata 0 9 * * *", "2025-01-01T03:30"),
    ],
)
def test_an_expression_fires_when_its_fields_say(text: str, first: str) -> None:
    """The first fire after new year 2025, in UTC."""
    fire = Cron.parse(text).next(NEW_YEAR)

    assert fire == datetime.fromisoformat(first).replace(tzinfo=UTC)
    assert fire.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("61 * * * *", r"minute \(field 1 of 5\) .* is '61'; the highest is 59\. Allowed: 0-59$"),
        ("60 * * * *", r"did you mean 0\?"),
        ("0 24 * * *", r"hour \(field 2 of 5\) .*'24'; did you mean 0\? The hour after 23 is 0\. Allowed: 0-23"),
        ("0 0 0 * *", r"day-of-month \(field 3 of 5\) .*'0'; did you mean 1\?"),
        ("0 0 32 * *", r"did you mean L, the last day of the month\?"),
        ("0 0 1 13 *", r"month \(field 4 of 5\) .*'13'; the highest is 12\. Allowed: 1-12 or JAN-DEC"),
        ("0 0 1 JANUARY *", r"did you mean JAN\?"),
        ("0 0 * * MOM", r"day-of-week \(field 5 of 5\) .* did you mean MON\? Allowed: 0-7 or SUN-SAT"),
        ("0 0 * * 8", r"'8'; the highest is 7"),
        ("70 0 0 * * *", r"second \(field 1 of 6\)"),
        ("0 9 * * FRI-MON", r"must not run backwards; write FRI-SAT,SUN-MON"),
        ("0 9 * * MON-SUN", r"SUN is 0; write 1-7"),
        ("0 22-6 * * *", r"write 22-23,0-6"),
        ("0 9 * * FRIL", r"write 5L"),
        ("0 9 * * 1#6", r"behind # stands '6'; give 1-5"),
        ("0 9 15W * *", r"only LW"),
        ("0 9 L-3 * *", r"L is the last day"),
        ("*/0 * * * *", r"the step behind / is '0'"),
        ("*/x * * * *", r"the step behind / is 'X'"),
        ("1,,2 * * * *", r"an element is missing"),
        ("1- * * * *", r"an element is missing"),
        ("1-5-7 * * * *", r"'5-7' is no value of it"),
        ("-5 * * * *", r"an element is missing"),
        ("٣ * * * *", r"'٣' is no value of it"),
        ("* * *", r"has 3 fields; give five: minute hour day-of-month month day-of-week"),
        ("", r"has 0 fields"),
        ("daily", r"has 1 field; .*@daily"),
        ("0 0 12 * * MON 2026", r"has 7 fields; .*no field for the year"),
        ("@dailly", r"did you mean @daily\?"),
        ("@every 5m", r"write 'every 5m', without the @"),
        ("every 5 minutes", r"write days, hours, minutes and seconds"),
        ("every", r"write days, hours, minutes and seconds"),
        ("every -5m", r"write days, hours, minutes and seconds"),
        ("every 0s", r"is 0 s; give at least 1s and at most 366d"),
        ("every 367d", r"at most 366d"),
        ("0 0 31 2 *", r"can never fire"),
        ("0 0 30-31 FEB *", r"can never fire"),
        ("0 0 31 4,6,9,11 */2", r"can never fire"),
        ("0 0 LW * */6", r"can never fire: no day fits"),
        ("1" * 1001, r"1001 characters long"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_place_and_a_remedy(text: str, says: str) -> None:
    """The message names the field, its position, the value, what is allowed, and what was probably meant."""
    with pytest.raises(ExpressionError, match=says):
        Cron.parse(text)


def test_an_error_carries_its_data() -> None:
    """Field, position and value are there for programs, and it is an error of a declaration."""
    with pytest.raises(ContractError) as caught:
        Cron.parse("0 9 * FOO *")

    assert isinstance(caught.value, CronError)
    assert isinstance(caught.value, ExpressionError)
    assert (caught.value.field, caught.value.position, caught.value.value) == ("month", 4, "FOO")


@pytest.mark.parametrize("text", [None, 5, b"* * * * *", ["*"]])
def test_no_text_is_refused(text: object) -> None:
    """What is no text is one clear error too."""
    with pytest.raises(ExpressionError, match="give a text"):
        Cron.parse(text)  # type: ignore[arg-type]  # it is what is refused


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Mars/Base", "give a name of the tz database"),
        ("europe/berlin", "did you mean Europe/Berlin"),
        ("Berlin", "did you mean Europe/Berlin"),
        ("America/NewYork", "did you mean America/New_York"),
        ("", "give a name"),
        ("../etc/passwd", "give a name"),
        ("Europe", "no time zone is called 'Europe'"),
        ("a\0b", "no time zone"),
        ("x" * 5000, "no time zone"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_nearest_names(name: str, says: str) -> None:
    """Also names that would be a folder, or lead out of the database."""
    with pytest.raises(ZoneError, match=says):
        Cron.parse("@daily", name)


def test_a_prefix_beats_the_zone_that_is_given() -> None:
    """``CRON_TZ=`` in the text is the nearer one."""
    cron = Cron.parse("CRON_TZ=Asia/Tokyo 0 9 * * *", "Europe/Berlin")

    assert cron.tz == "Asia/Tokyo"
    assert cron.text == "0 9 * * *"


@pytest.mark.parametrize("after", [datetime(2025, 1, 1), "2025-01-01", None])  # noqa: DTZ001 - that is the point
def test_a_moment_without_a_zone_is_refused(after: object) -> None:
    """Nothing guesses which zone a naive datetime means."""
    with pytest.raises(CronError, match="time zone"):
        Cron.parse("@daily").next(after)  # type: ignore[arg-type]  # it is what is refused


@pytest.mark.parametrize("n", [-1, 1.5, True])
def test_a_number_of_fires_must_be_one(n: object) -> None:
    """A count is a whole number of at least 0."""
    with pytest.raises(CronError, match="whole number"):
        Cron.parse("@daily").upcoming(n, NEW_YEAR)  # type: ignore[arg-type]  # it is what is refused


@pytest.mark.parametrize("text", ["@daily", "every 5m", "* * * * * *"])
def test_the_calendar_ends_with_an_error(text: str) -> None:
    """There is no fire after the last second of the year 9999."""
    with pytest.raises(CronError, match="any more"):
        Cron.parse(text).next(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "tz", "sentence"),
    [
        ("0 9 * * 1", "Europe/Berlin", "At 09:00 on Monday (Europe/Berlin)"),
        ("@daily", "UTC", "At 00:00 every day (UTC)"),
        ("every 1h30m", "Asia/Tokyo", "Every 1 hour 30 minutes, counted from 1970-01-01 00:00 UTC"),
    ],
)
def test_it_describes_itself(text: str, tz: str, sentence: str) -> None:
    """One sentence for people."""
    assert Cron.parse(text, tz).describe() == sentence


@pytest.mark.parametrize(
    ("text", "caution"),
    [
        ("*/7 * * * *", "after 56 comes 0 again"),
        ("*/100 * * * *", "a step of 100 leaves only 0"),
        ("0 0 13 * FRI", "a day that fits either of them fires"),
    ],
)
def test_it_cautions_against_what_surprises(text: str, caution: str) -> None:
    """Allowed, because every cron allows it, but said."""
    (said,) = Cron.parse(text).cautions

    assert caution in said


def test_a_plain_expression_cautions_against_nothing() -> None:
    """Even steps and one kind of day are as they look."""
    assert Cron.parse("*/15 */6 * * MON").cautions == ()


def test_an_interval_keeps_its_grid_over_a_restart() -> None:
    """It is counted from 1970, not from when the process began."""
    cron = Cron.parse("every 7m")
    before = cron.upcoming(10, NEW_YEAR)

    again = Cron.parse("EVERY  7m").upcoming(5, before[4] - timedelta(seconds=1))

    assert again == before[4:9]
    assert all((fire - datetime(1970, 1, 1, tzinfo=UTC)) % timedelta(minutes=7) == timedelta() for fire in before)


def test_an_interval_counts_elapsed_time_through_a_change_of_the_clock() -> None:
    """Every hour is every hour, in any zone."""
    fires = Cron.parse("every 1h", "Europe/Berlin").upcoming(48, datetime(2025, 3, 29, tzinfo=UTC))

    assert {later - earlier for earlier, later in pairwise(fires)} == {timedelta(hours=1)}


def test_expressions_are_refused_without_cronsim_and_intervals_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    monkeypatch.setitem(sys.modules, "cronsim", None)

    with pytest.raises(ExpressionError, match=r"longrun-orchestrator\[cron\]"):
        Cron.parse("0 9 * * *")
    assert Cron.parse("every 5m").next(NEW_YEAR) == NEW_YEAR + timedelta(minutes=5)


def test_next_fire_is_the_callback_of_a_runner() -> None:
    """It parses, remembers and answers."""
    assert next_fire("CRON_TZ=Europe/Berlin 0 9 * * *", NEW_YEAR) == NEW_YEAR + timedelta(hours=8)


@given(st.sampled_from(EXPRESSIONS), st.sampled_from(ZONES))
def test_what_it_prints_is_what_it_is(text: str, tz: str) -> None:
    """parse(str(x)) == x; equal values hash alike, and a pickled one is the same."""
    cron = Cron.parse(text, tz)

    assert Cron.parse(str(cron)) == cron
    assert hash(Cron.parse(str(cron))) == hash(cron)
    assert pickle.loads(pickle.dumps(cron)) == cron
    assert cron.describe()


@given(st.sampled_from(EXPRESSIONS), st.sampled_from(ZONES), MOMENTS, st.integers(0, 20))
def test_it_only_moves_forward(text: str, tz: str, after: datetime, n: int) -> None:
    """Fires lie after the moment, rise strictly, are whole seconds, and fewer of them are a prefix of more."""
    cron = Cron.parse(text, tz)

    fires = cron.upcoming(n + 1, after)

    assert all(earlier < later for earlier, later in pairwise([after, *fires]))
    assert all(fire.microsecond == 0 for fire in fires)
    assert cron.upcoming(n, after) == fires[:n]
    assert cron.next(after.astimezone(cron.zone)) == fires[0]
    assert cron.next(fires[0] - timedelta(microseconds=1)) == fires[0]


@given(st.text(max_size=30))
def test_any_text_is_understood_or_refused_as_one_error(text: str) -> None:
    """Nothing else comes out of it."""
    try:
        cron = Cron.parse(text)
    except CronError:
        return
    assert Cron.parse(str(cron)) == cron


@given(
    st.lists(
        st.sampled_from(["*", "1", "L", "LW", "5L", "1#2", "MON", "*/2", "1-3", "3-1", "?", ",", "0,7", "/"]),
        min_size=5,
        max_size=6,
    )
)
def test_any_field_soup_is_understood_or_refused_as_one_error(words: list[str]) -> None:
    """What passes the check of the fields is understood by the calendar as well."""
    try:
        cron = Cron.parse(" ".join(words))
    except CronError:
        return
    assert cron.next(NEW_YEAR) > NEW_YEAR
    assert cron.describe()
