"""Bars: which figure is taken, and on which side of the limit it is good."""

import json

import pytest

from benchmarks.bars import Bar, judge, lines, to_json
from benchmarks.samples import Samples

OURS, PEER = ("idle", "ours", "bytes", "asyncio"), ("idle", "peer", "bytes", "asyncio")


def bar(limit: float, **how: object) -> Bar:
    """A bar for the bytes of ours against the peer's."""
    return Bar("idle", "ours", "bytes", ("asyncio", "trio"), ("idle", "peer"), limit, **how)  # type: ignore[arg-type]  # options of any kind


def samples() -> Samples:
    """Three rounds in which the machine became slower for both."""
    return Samples({OURS: [10.0, 20.0, 90.0], PEER: [5.0, 10.0, 30.0]})


@pytest.mark.parametrize(("limit", "word"), [(2.0, "ok"), (1.9, "MISS")])
def test_a_ratio_is_taken_within_each_round_and_its_median_counts(limit: float, word: str) -> None:
    """The third round was bad for both; the median of the ratios does not notice."""
    (verdict,) = judge([bar(limit, kind="ratio")], samples(), ["asyncio"])

    assert (verdict.figure, verdict.word) == (2.0, word)


def test_over_is_the_median_of_the_differences() -> None:
    """5, 10 and 60 more: 10."""
    (verdict,) = judge([bar(10.0)], samples(), ["asyncio"])

    assert (verdict.figure, verdict.holds) == (10.0, True)


def test_a_figure_stands_for_itself() -> None:
    """No other row is asked."""
    alone = Bar("idle", "ours", "bytes", ("asyncio",), None, 19.0, "figure")

    (verdict,) = judge([alone], samples(), ["asyncio"])

    assert (verdict.figure, verdict.holds) == (20.0, False)


@pytest.mark.parametrize(("limit", "holds"), [(2.0, True), (2.1, False)])
def test_where_more_is_better_the_limit_is_the_least(limit: float, holds: bool) -> None:
    """A rate, for example."""
    (verdict,) = judge([bar(limit, kind="ratio", least=True)], samples(), ["asyncio"])

    assert verdict.holds is holds


def test_a_row_that_did_not_run_is_neither_good_nor_bad() -> None:
    """It holds nothing, and the table says so with a question mark."""
    taken = Samples({OURS: [1.0]})

    (verdict,) = judge([bar(1.0)], taken, ["asyncio"])

    assert (verdict.figure, verdict.holds, verdict.word) == (None, False, "?")
    assert "?" in lines([verdict])


def test_only_backends_that_were_measured_are_judged() -> None:
    """The bar speaks of trio as well."""
    found = list(judge([bar(1.0)], samples(), ["trio", "uvloop"]))

    assert [one.backend for one in found] == ["trio"]


def test_a_ratio_to_nothing_is_no_figure() -> None:
    """A peer that took no time at all cannot be divided by."""
    taken = Samples({OURS: [1.0], PEER: [0.0]})

    (verdict,) = judge([bar(1.0, kind="ratio")], taken, ["asyncio"])

    assert verdict.figure is None


def test_a_row_that_fails_once_is_left_out_with_all_its_rounds() -> None:
    """Else its rounds would stand beside other rounds than their own."""
    taken = samples()

    taken.drop("idle", "peer", "asyncio", "it fell over")

    assert (taken.median(PEER), taken.median(OURS)) == (None, 20.0)
    assert taken.notes == {("idle", "peer", "", "asyncio"): "it fell over"}


def test_verdicts_are_plain_json() -> None:
    """What a program reads of a bar."""
    found = list(judge([bar(1.0, kind="ratio")], samples(), ["asyncio"]))

    (said,) = json.loads(json.dumps(to_json(found)))

    assert (said["measured"], said["limit"], said["holds"], said["unit"]) == (2.0, 1.0, False, "ratio")
