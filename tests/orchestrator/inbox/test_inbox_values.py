"""Ids, JSON, times, intents, handlers and the waits of retries: the values of the inbox."""

import dataclasses
import json
import math
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from longrun.failure.category import Category, Failure
from orchestrator.inbox import (
    DuplicateHandler,
    Handler,
    Handlers,
    InboxError,
    Intent,
    InvalidHandler,
    InvalidIntent,
    InvalidPayload,
    PayloadTooLarge,
    handler,
)
from orchestrator.inbox.ids import RunIds
from orchestrator.inbox.wire import decode, encode, error_text, from_text, to_text
from orchestrator.inbox.worker.failure import retry_in

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TIMES = st.datetimes(
    datetime(1971, 1, 1),  # noqa: DTZ001 - the zones are drawn
    datetime(9000, 1, 1),  # noqa: DTZ001 - as above
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=9))]),
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), inner)
    ),
    max_leaves=10,
)


@given(st.lists(TIMES, min_size=2, max_size=20))
def test_an_id_is_greater_than_all_before_it(times):
    """Also when the clock stands still or goes back."""
    clock = iter(times)
    ids = RunIds(lambda: next(clock))

    made = [ids() for _ in times]

    assert made == sorted(set(made))
    assert all((UUID(id_).version, UUID(id_).variant) == (7, "specified in RFC 4122") for id_ in made)


def test_an_id_begins_with_the_milliseconds_of_its_time():
    """As RFC 9562 lays it out."""
    made = UUID(RunIds(lambda: NOON, getrandbits=lambda bits: 2**bits - 1)())

    assert made.int >> 80 == NOON.timestamp() * 1000
    assert str(made).endswith("-7000-bfff-ffffffffffff")


@given(JSON)
def test_json_comes_back_as_it_was(value):
    """Whatever JSON can say."""
    assert decode(encode(value, "it").encode()) == value


def test_a_dataclass_and_a_pydantic_model_are_taken_apart():
    """Also inside of others."""

    @dataclasses.dataclass
    class Inner:
        when: int

    class Outer(BaseModel):
        at: datetime

    assert json.loads(encode({"a": Inner(1), "b": Outer(at=NOON)}, "it")) == {
        "a": {"when": 1},
        "b": {"at": "2026-03-01T12:00:00Z"},
    }


def _nested():
    value: list = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (object(), "unknown type: <class 'object'>"),
        (math.nan, "JSON compliant"),
        ({"a": math.inf}, "JSON compliant"),
        ("\ud800", "surrogates"),
        ({(1, 2): 3}, "keys must be"),
        (b"bytes", "type bytes"),
        (_nested(), "nested deeper than 100 levels"),
        ("a\0b", "NUL"),
        ({"a\0": 1}, "NUL"),
    ],
)
def test_what_is_no_json_is_refused(value, said):
    """With what it is and what to use."""
    with pytest.raises(InvalidPayload, match=said):
        encode(value, "the payload")


def test_a_text_that_only_looks_like_an_escaped_nul_is_stored():
    """A backslash, a u and four zeros are six harmless characters."""
    assert decode(encode("\\u0000", "it").encode()) == "\\u0000"


def test_the_limit_counts_bytes():
    """One more is refused, with both sizes."""
    assert encode("é" * 4, "it", limit=10)

    with pytest.raises(PayloadTooLarge, match="11 bytes of JSON, 10 is the most") as caught:
        encode("é" * 4 + "a", "it", limit=10)

    assert (caught.value.size, caught.value.limit) == (11, 10)


@pytest.mark.parametrize("stored", [b"", b"{", b"\xff\xfe", b"NaN", b"[" * 100_000, b"9" * 5000])
def test_stored_text_that_is_no_json_is_a_value_error(stored):
    """Never anything else."""
    with pytest.raises(ValueError):
        decode(stored)


@given(TIMES, TIMES)
def test_times_sort_as_text_and_come_back(one, other):
    """In UTC."""
    assert from_text(to_text(one)) == one
    assert (to_text(one) < to_text(other)) == (one < other)


def test_times_of_other_programs_are_read_as_utc_and_bad_ones_named():
    """``datetime('now')`` has no fraction and no zone."""
    assert from_text("2026-03-01 12:00:00") == NOON

    with pytest.raises(InboxError, match="'yesterday' where a time should be"):
        from_text("yesterday")


def test_the_text_of_an_error_can_be_stored_whatever_it_says():
    """Without NUL and lone surrogates, bounded, and even when its text cannot be had."""

    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    assert error_text(ValueError("a\0b\ud800")) == "ValueError: ab?"
    assert error_text(KeyError()) == "KeyError"
    assert len(error_text(ValueError("x" * 100_000))) == 4000
    assert error_text(Mute()) == "Mute: (its text cannot be had: RuntimeError)"


def test_the_text_of_a_group_names_what_is_in_it():
    """Its own text says only that there were errors; equal ones are named once, nested ones too."""
    inner = ExceptionGroup("inner", [ValueError("no such order"), ValueError("no such order")])
    group = ExceptionGroup("unhandled errors in a TaskGroup", [inner, ConnectionError("shop.example: refused")])

    assert error_text(group) == (
        "ExceptionGroup: unhandled errors in a TaskGroup (2 sub-exceptions): "
        "ValueError: no such order; ConnectionError: shop.example: refused"
    )
    assert len(error_text(ExceptionGroup("many", [ValueError("x" * 1000, n) for n in range(1000)]))) == 4000


@pytest.mark.parametrize("name", ["mail", "billing.invoice.v1", "a-b.c_d", "Mail.V1"])
def test_a_type_is_words_with_dots(name):
    """Dashes and underscores too."""
    assert Intent(name).type == name


@pytest.mark.parametrize(
    "name", ["", ".", "a.", ".a", "a..b", "a b", "a\0", "a\n", "billing.%", "é", "a" * 201, None, 1]
)
def test_any_other_type_is_refused(name):
    """With an example of a good one."""
    with pytest.raises(InvalidIntent, match=r"billing\.invoice\.v1"):
        Intent(name)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("priority", True),
        ("priority", 1.0),
        ("priority", 2**31),
        ("priority", "1"),
        ("max_attempts", 0),
        ("max_attempts", -1),
        ("max_attempts", True),
        ("max_attempts", 1.5),
        ("max_attempts", None),
        ("delay", -1),
        ("delay", math.nan),
        ("delay", math.inf),
        ("delay", True),
        ("delay", "1"),
        ("delay", 1e12),
        ("run_at", datetime(2026, 3, 1)),  # noqa: DTZ001 - a time without a zone is what is refused
        ("run_at", "2026-03-01"),
        ("run_at", 1),
        ("idempotency_key", ""),
        ("idempotency_key", "a\0"),
        ("idempotency_key", "x" * 513),
        ("idempotency_key", 7),
        ("idempotency_key", "\ud800"),
    ],
)
def test_a_wrong_value_is_refused_by_name(field, value):
    """The message names the intent, the field and the value."""
    with pytest.raises(InvalidIntent, match=f"intent 'mail.v1': {field} is "):
        Intent("mail.v1", **{field: value})


def test_delay_and_run_at_are_one_too_many():
    """Give one of them."""
    with pytest.raises(InvalidIntent, match="both delay"):
        Intent("mail.v1", delay=1, run_at=NOON)


async def work(run):
    """Does nothing."""


def test_handlers_are_found_by_type():
    """Decorated functions and added methods alike."""
    mail = handler("mail.v1", timeout=3)(work)

    handlers = Handlers(mail).add("bill.v1", work)

    assert handlers.types == ("bill.v1", "mail.v1")
    assert handlers["mail.v1"] == Handler("mail.v1", work, 3)


def test_a_type_has_one_handler():
    """A second one is refused, and both are named."""
    with pytest.raises(DuplicateHandler, match=r"'mail\.v1' has two handlers, work and work"):
        Handlers(Handler("mail.v1", work), Handler("mail.v1", work))


@pytest.mark.parametrize(
    ("type_", "what", "timeout"),
    [("a b", work, None), ("a", 1, None), ("a", work, 0), ("a", work, True), ("a", work, math.inf)],
)
def test_what_cannot_handle_is_refused(type_, what, timeout):
    """When it is declared."""
    with pytest.raises(InvalidHandler):
        handler(type_, timeout=timeout)(what)
    with pytest.raises(InvalidHandler, match="@handler"):
        Handlers(work)


class Ours(Enum):
    """Another enumeration with the same names."""

    PERMANENT = 1
    UNKNOWN = 2


@dataclasses.dataclass
class Verdict:
    """The least that a classifier may return."""

    category: object
    wait_hint: float | None = None


@pytest.mark.parametrize("category", [Category.PERMANENT, Ours.PERMANENT, "PERMANENT", "permanent"])
def test_a_permanent_failure_is_not_tried_again(category):
    """However the category is spelled, and whatever it hints."""
    assert retry_in(Verdict(category, 5.0), 1, 9, lambda: 0.5) is None


@given(st.integers(1, 200), st.integers(1, 200), st.floats(0, 1))
def test_retries_wait_the_square_of_their_number_in_minutes_until_the_attempts_are_spent(failures, attempts, chance):
    """Give or take a tenth, and never much more than a day."""
    wait = retry_in(Failure(Category.UNKNOWN), failures, attempts, lambda: chance)

    if failures >= attempts:
        assert wait is None
    else:
        assert wait == pytest.approx(min(60 * failures**2, 86400), rel=0.1001)


@pytest.mark.parametrize(
    ("hint", "wait"), [(7.0, 7.0), (1e9, 3600.0), (math.inf, 3600.0), (0.0, 60.0), (math.nan, 60.0), (-1.0, 60.0)]
)
def test_a_wait_hint_is_honoured_up_to_an_hour(hint, wait):
    """Nonsense is no hint, and no wait at all is none: three attempts would be spent at once."""
    failure = Failure(Category.SERVICE, hint)

    assert retry_in(failure, 1, 3, lambda: 0.0) == pytest.approx(wait if hint > 0 else 0.9 * wait)
    assert retry_in(failure, 1, 3, lambda: 1.0) == pytest.approx(1.1 * wait)


def test_what_asked_for_the_same_wait_does_not_come_back_in_the_same_instant():
    """Never sooner than was asked for."""
    waits = {retry_in(Failure(Category.SERVICE, 60.0), 1, 3, lambda n=n: n / 100) for n in range(100)}

    assert len(waits) == 100
    assert min(waits) == 60.0
    assert max(waits) <= 66.0
