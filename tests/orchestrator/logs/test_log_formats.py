"""A record is one line that nothing in it can break: JSON for machines, columns for people."""

import io
import json
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.logs import ConsoleFormatter, JsonFormatter, one_line

ANY_TEXT = st.text(st.characters(), max_size=200)  # lone surrogates and control characters included
ANY_VALUE = st.recursive(
    st.one_of(ANY_TEXT, st.none(), st.booleans(), st.integers(), st.floats(), st.binary(), st.complex_numbers()),
    lambda inner: st.lists(inner) | st.dictionaries(st.one_of(ANY_TEXT, st.integers()), inner) | st.tuples(inner),
    max_leaves=10,
)


def record(message: object = "hello", *args: object, failure: BaseException | None = None, **extra: object):
    made = logging.LogRecord("app.poller", logging.ERROR, "x.py", 1, message, args, None)
    made.created = 1_700_000_000.1239
    if failure is not None:
        made.exc_info = (type(failure), failure, failure.__traceback__)
    vars(made).update(extra)
    return made


@given(ANY_TEXT, ANY_TEXT, st.dictionaries(st.text(min_size=1, max_size=10).map("x_".__add__), ANY_VALUE, max_size=4))
def test_json_is_one_valid_line_for_any_text(message: str, failure: str, extra: dict[str, object]):
    """Whatever a tenant, an error or a caller says."""
    made = record("%s", message, failure=ValueError(failure), tenant=message, **extra)

    line = JsonFormatter("svc").format(made)

    assert line.isascii()
    assert line.isprintable()
    document = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert document["message"] == message
    assert document["service"] == "svc"
    assert set(extra) <= set(document)


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_a_console_line_cannot_be_forged(message: str, tenant: str, failure: str):
    """One line begins with a time; every further line is marked as part of a traceback."""
    made = record("%s", message, failure=ValueError(failure), tenant=tenant)

    first, *rest = ConsoleFormatter().format(made).splitlines()

    assert re.match(r"22:13:20\.123 error  ", first)
    assert all(line.startswith("    | ") for line in rest)


@given(ANY_TEXT)
def test_one_line_leaves_nothing_that_a_terminal_obeys(text: str):
    """No line end, no escape, no sign that reorders the line; plain text is left alone."""
    safe = one_line(text)

    assert len(safe.splitlines()) <= 1
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", safe)
    assert one_line(safe) == safe


def test_the_keys_of_json_stand_in_a_fixed_order():
    """Time in UTC with milliseconds, level, logger, message, context, extras, failure."""
    made = record("run %s", "failed", run_id="r1", tenant="a/b", attempt=3, failure=OSError("no route"))

    line = JsonFormatter("svc").format(made)

    document = json.loads(line)
    assert list(document) == [
        "ts", "level", "logger", "message", "service", "tenant", "run_id", "attempt", "exc_info",
    ]  # fmt: skip
    assert document["ts"] == "2023-11-14T22:13:20.123Z"
    assert document["level"] == "error"
    assert document["attempt"] == 3
    assert document["exc_info"].endswith("OSError: no route")


def test_an_extra_field_cannot_take_the_place_of_a_key():
    """It is kept under another name."""
    document = json.loads(JsonFormatter().format(record("hello", ts="now", level="calm")))

    assert document["level"] == "error"
    assert (document["extra_ts"], document["extra_level"]) == ("now", "calm")


def test_long_texts_are_cut_in_the_middle():
    """Start and end of an error say most; an ordinary line stays below the 16 KiB at which containers cut."""
    made = record("a" * 50_000, failure=ValueError("start " + "b" * 50_000 + " end"), body="c" * 50_000)

    line = JsonFormatter().format(made)

    document = json.loads(line)
    assert len(line) < 16 * 1024
    assert document["exc_info"].endswith(" end")
    assert "[50000 characters]" in document["message"]


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("formatter", [JsonFormatter(), ConsoleFormatter()])
def test_what_cannot_be_shown_is_named_and_does_not_raise(formatter: logging.Formatter):
    """Arguments that do not fit, objects and errors whose __str__ fails, a structure that holds itself."""
    loop: dict[str, object] = {}
    loop["self"] = loop

    assert "arguments do not fit" in formatter.format(record("%s and %s", "one"))
    assert "Broken that cannot be shown" in formatter.format(record("hello", thing=Broken()))
    assert "hello" in formatter.format(record("hello", loop=loop))
    assert "ValueError" in formatter.format(record("hello", failure=ValueError(Broken())))


def test_a_console_line_reads_from_left_to_right():
    """Time, level, message, then the fields; values with spaces are quoted."""
    made = record("run failed", tenant="a/b", resource="poller", note="two words", attempt=3)

    line = ConsoleFormatter().format(made)

    assert line == '22:13:20.123 error  run failed  resource=poller tenant=a/b note="two words" attempt=3'


def test_colour_marks_the_level_only():
    """And only when asked for."""
    assert "\x1b[31merror\x1b[0m  hello" in ConsoleFormatter(colour=True).format(record())
    assert "\x1b" not in ConsoleFormatter().format(record())
    assert io.StringIO(ConsoleFormatter(colour=True).format(record("\x1b[2J"))).read().count("\x1b") == 2
