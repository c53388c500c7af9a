"""Payloads that are no plain JSON: what is written, what is refused, and where it is said to be."""

import json
import math
import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter

from orchestrator.inbox import InvalidPayload
from orchestrator.inbox.fault import DEEPEST
from orchestrator.inbox.wire import encode

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Colour(Enum):
    """An enumeration."""

    RED = "red"


@dataclass
class Line:
    """A dataclass with values that JSON lacks."""

    price: Decimal
    when: datetime = NOON
    tags: set[str] = field(default_factory=lambda: {"a"})


class Order(BaseModel):
    """A model with a dataclass inside."""

    id: uuid.UUID
    lines: list[Line]
    counts: dict[int, int] = {}


class Customer(TypedDict):
    """A typed dict."""

    born: date
    colour: Colour


@pytest.mark.parametrize(
    "value",
    [
        Line(Decimal("1.10")),
        Order(id=uuid.UUID(int=7), lines=[Line(Decimal("1E+2"))], counts={1: 2}),
        NOON,
        timedelta(seconds=90),
        Colour.RED,
        uuid.UUID(int=1),
        Decimal("0.30"),
        frozenset({1, 2}),
    ],
)
def test_a_typed_value_comes_back_as_it_was(value):
    """By the type's own adapter."""
    text = encode(value, "the payload")

    assert TypeAdapter(type(value)).validate_json(text) == value


def test_a_typed_dict_may_hold_them_too():
    """At any place in plain containers."""
    text = encode({"all": [Customer(born=date(2000, 1, 2), colour=Colour.RED)]}, "the payload")

    assert json.loads(text) == {"all": [{"born": "2000-01-02", "colour": "red"}]}


def nested(levels):
    """A list in a list in a list."""
    value = 1
    for _ in range(levels):
        value = [value]
    return value


def cycle():
    """A value that contains itself."""
    value = {"a": [1]}
    value["a"].append(value)
    return value


@pytest.mark.parametrize(
    ("value", "place", "said"),
    [
        (math.nan, "", "nan is not JSON compliant; use None"),
        ({"lines": [{"price": 1}, {"price": -math.inf}]}, " at ['lines'][1]['price']", "-inf is not JSON compliant"),
        ({"lines": Line(math.nan)}, " at ['lines']['price']", "nan is not JSON"),
        ({"a": ["b\0"]}, " at ['a'][0]", "the text 'b.x00' has a NUL"),
        ({"a": {"b\0": 1}}, " at ['a']", "the key 'b.x00' has a NUL"),
        ({"a": Colour}, " at ['a']", "use dict, list"),
        ({"a": "\udcff"}, " at ['a']", "lone surrogates.*base64"),
        ({"a": {"\udcff": 1}}, " at ['a']", "the key .* lone surrogates"),
        ({"a": {1: 2}}, " at ['a']", r"keys must be texts, and 1 is of type int; use str\(key\)"),
        ({None: 1}, "", "keys must be texts, and None is of type NoneType"),
        (cycle(), " at ['a'][1]", "it contains itself; break the cycle"),
        (nested(DEEPEST + 1), " at [0][0]", "deeper than 100 levels; make it flatter"),
        (nested(100_000), " at [0][0]", "deeper than 100 levels"),
        ({"a": b"raw"}, " at ['a']", r"bytes is no text; decode it, or use base64"),
        ({"a": iter([1])}, " at ['a']", r"only once; use list\(\)"),
        ({"a": object()}, " at ['a']", "use dict, list, str.*pydantic model"),
        ({"a": 10**5000}, " at ['a']", "too large to be written"),
    ],
)
def test_the_error_names_the_place_and_the_remedy(value, place, said):
    """One kind of error, whatever is wrong."""
    with pytest.raises(InvalidPayload, match=said) as caught:
        encode(value, "intent 'mail.v1': the payload")

    assert str(caught.value).startswith(f"intent 'mail.v1': the payload{place}")
    assert len(str(caught.value)) < 600


def test_the_same_value_twice_is_no_cycle():
    """Only one that is inside of itself."""
    shared = [1]

    assert encode({"a": shared, "b": [shared, shared]}, "it") == '{"a":[1],"b":[[1],[1]]}'


def test_the_deepest_that_is_allowed_is_stored():
    """One less than what is refused."""
    assert encode(nested(DEEPEST), "it") == "[" * DEEPEST + "1" + "]" * DEEPEST


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes() | st.uuids()
    | st.decimals() | st.just("\ud800") | st.just("\0"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner),
    max_leaves=15,
)  # fmt: skip


@given(ANYTHING)
def test_anything_is_stored_as_json_or_refused_with_one_kind_of_error(value):
    """And what is stored can be stored: UTF-8 without NUL that any parser takes."""
    try:
        text = encode(value, "it")
    except InvalidPayload:
        return

    assert "\0" not in json.dumps(json.loads(text), ensure_ascii=False)
    assert text.encode().decode() == text
