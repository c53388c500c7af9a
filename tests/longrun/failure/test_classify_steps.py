"""What the steps of a classification say in full: values, logs, and what a broken classifier is told."""

import errno
import logging
from typing import Any

import pytest

from longrun import Category, Failure, InfraClassifier, classify
from longrun.failure.classify import transport

NODE = Failure(Category.NODE)


@pytest.mark.parametrize(
    "name", ["ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "EHOSTDOWN", "ENETRESET", "EADDRNOTAVAIL", "ENOTCONN"]
)
def test_each_error_number_of_the_network_is_the_way_there(name: str) -> None:
    """By its name in errno; where the platform has it."""
    assert transport(OSError(getattr(errno, name), "gone")) == NODE


@pytest.mark.parametrize("name", ["ENOENT", "EACCES", "ENOSPC", "EMFILE", "EPERM"])
def test_other_error_numbers_are_not(name: str) -> None:
    """Files, permissions and descriptors are our own affair."""
    assert transport(OSError(getattr(errno, name), "no")) is None


def test_the_step_of_the_capabilities_prints_as_its_name() -> None:
    """In the repr of a baseline."""
    assert repr(InfraClassifier()) == "InfraClassifier()"


def test_a_classifier_that_raises_is_named_in_the_log_with_the_error_it_was_asked_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One record of the package's own logger, with the traceback."""

    class Odd:
        def __call__(self, error: BaseException) -> Failure | None:
            raise RuntimeError("no table")

        def __repr__(self) -> str:
            return "odd"

    with caplog.at_level(logging.ERROR, logger="longrun.failure"):
        found = classify(ConnectionError(), Odd())

    assert found == NODE
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("longrun.failure", "ERROR")
    assert record.getMessage() == "classifier odd failed on ConnectionError and is skipped"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], RuntimeError)


def test_a_classifier_that_gives_no_failure_is_told_what_it_must_give(caplog: pytest.LogCaptureFixture) -> None:
    """The value itself is in the log."""

    def wrong(_error: BaseException) -> Any:
        return "node"

    with caplog.at_level(logging.ERROR, logger="longrun.failure"):
        classify(ValueError(), wrong)

    told = caplog.records[0].exc_info
    assert told is not None
    assert str(told[1]) == "it gave 'node'; it must give a Failure with a Category, or None"


class Busy(Exception):
    """The other side says how long."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("busy")
        self.retry_after = retry_after


def test_a_permanent_failure_of_a_classifier_waits_for_nothing() -> None:
    """Neither its own hint nor one of the chain."""
    assert classify(Busy(9), lambda _: Failure(Category.PERMANENT, 4.0)) == Failure(Category.PERMANENT)


def test_a_hint_of_zero_seconds_is_no_hint_and_one_of_the_chain_stands() -> None:
    """A reset time that has just passed."""
    assert classify(Busy(9), lambda _: Failure(Category.SERVICE, 0.0)) == Failure(Category.SERVICE, 9.0)
    assert classify(ValueError(), lambda _: Failure(Category.SERVICE, 0.0)) == Failure(Category.SERVICE)


def test_of_the_hints_of_a_group_and_its_leaves_the_longest_stands() -> None:
    """Whoever asks for most is obeyed; a group of which no one asks has no hint."""
    both = ExceptionGroup("g", [Busy(3), Busy(8), TimeoutError()])
    by_user = {"KeyError": 20.0, "Busy": 5.0}

    def told(error: BaseException) -> Failure | None:
        return Failure(Category.SERVICE, by_user[type(error).__name__])

    assert classify(both) == Failure(Category.SERVICE, 8.0)
    assert classify(ExceptionGroup("g", [KeyError(), Busy(9)]), told) == Failure(Category.SERVICE, 20.0)
    assert classify(ExceptionGroup("g", [TimeoutError(), TimeoutError()])) == NODE


def test_a_group_with_a_leaf_that_a_classifier_calls_permanent_waits_for_nothing() -> None:
    """However long another leaf asks."""
    group = ExceptionGroup("g", [KeyError(), Busy(9)])

    found = classify(group, lambda error: Failure(Category.PERMANENT) if isinstance(error, KeyError) else None)

    assert found == Failure(Category.PERMANENT)
