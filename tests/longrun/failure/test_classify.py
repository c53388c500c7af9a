"""From an error to a Failure: each step alone, their order, chains and groups."""

import errno
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from longrun import BulkheadFull, Category, CircuitOpen, Failure, InfraClassifier, TimeoutExceeded, classify
from longrun.failure.classify import permanent_veto, transport

NODE, SERVICE = Failure(Category.NODE), Failure(Category.SERVICE)
UNKNOWN, PERMANENT = Failure(Category.UNKNOWN), Failure(Category.PERMANENT)


def error(**attributes: object) -> Exception:
    """An error with capabilities, each type new so that reports do not hide one another."""
    return type("Told", (Exception,), attributes)()


def caused(outer: BaseException, cause: BaseException) -> BaseException:
    outer.__cause__ = cause
    return outer


def beside(outer: BaseException, context: BaseException, *, suppressed: bool = False) -> BaseException:
    outer.__context__ = context
    outer.__suppress_context__ = suppressed
    return outer


# -- the steps, each alone -------------------------------------------------------------------------------------------


def test_the_veto_knows_permanent_and_nothing_else() -> None:
    """Step 1: True anywhere on the chain; False is no opinion."""
    assert permanent_veto(error(permanent=True)) == PERMANENT
    assert permanent_veto(caused(ValueError(), error(permanent=True))) == PERMANENT
    assert permanent_veto(error(permanent=False)) is None
    assert permanent_veto(error(retry_after=5.0)) is None


@pytest.mark.parametrize(
    ("attributes", "failure"),
    [
        ({"retry_after": 7}, Failure(Category.SERVICE, 7.0)),
        ({"retry_after": 7, "retryable": False}, Failure(Category.SERVICE, 7.0)),
        ({"service_pressure": True}, SERVICE),
        ({"retryable": True}, SERVICE),
        ({"retryable": True, "retry_after": 0}, SERVICE),
        ({"retryable": False}, None),
        ({"service_pressure": False}, None),
        ({"retry_after": None}, None),
        ({"retry_after": -3}, None),
        ({}, None),
    ],
)
def test_the_capabilities_are_read_from_plain_attributes(attributes: dict[str, Any], failure: Failure | None) -> None:
    """Step 3: a hint, pressure and retryable are SERVICE; False and nonsense are no opinion."""
    assert InfraClassifier()(error(**attributes)) == failure


@pytest.mark.parametrize(
    "failure",
    [
        ConnectionError(), ConnectionResetError(), ConnectionRefusedError(), BrokenPipeError(), TimeoutError(),
        TimeoutExceeded(3), EOFError(), socket.gaierror(), socket.herror(), ssl.SSLError(),
        OSError(errno.ENETUNREACH, "no route"), OSError(errno.EHOSTUNREACH, "no route"),
        caused(ValueError(), ConnectionError()),
    ],
    ids=repr,
)  # fmt: skip
def test_the_way_there_is_node(failure: Exception) -> None:
    """Step 4: connections, DNS, time-outs, ends of file, TLS."""
    assert transport(failure) == NODE


@pytest.mark.parametrize("failure", [OSError(), OSError(errno.ENOENT, "x"), FileNotFoundError(), ValueError()])
def test_what_is_not_the_way_there_is_no_opinion_of_transport(failure: Exception) -> None:
    """A missing file is an OSError too."""
    assert transport(failure) is None


def test_a_refused_certificate_is_permanent_wherever_it_stands() -> None:
    """Trying again does not make a certificate trusted, also behind a connection error."""
    refused = ssl.SSLCertVerificationError()

    assert transport(refused) == PERMANENT
    assert transport(caused(ConnectionError(), refused)) == PERMANENT


# -- their order -----------------------------------------------------------------------------------------------------


def test_a_veto_beats_every_hint_and_every_classifier() -> None:
    """PERMANENT carries no wait: nothing is waited for."""
    torn = caused(ConnectionError(), error(permanent=True, retry_after=5.0, retryable=True))

    assert classify(torn, lambda _: NODE) == PERMANENT


def test_the_users_classifier_is_asked_before_capabilities_and_transport() -> None:
    """What the application knows better wins."""
    assert classify(error(retryable=True), lambda _: NODE) == NODE
    assert classify(ConnectionError(), lambda _: PERMANENT) == PERMANENT
    assert classify(ConnectionError(), lambda _: None) == NODE


def test_capabilities_are_asked_before_transport() -> None:
    """A time-out that asks for a wait is SERVICE, and keeps its hint."""
    assert classify(caused(error(retry_after=9), TimeoutError())) == Failure(Category.SERVICE, 9.0)
    assert classify(caused(TimeoutError(), error(retry_after=9))) == Failure(Category.SERVICE, 9.0)


def test_nothing_known_is_unknown() -> None:
    """The last step always has an answer."""
    assert classify(ValueError()) == UNKNOWN
    assert classify(error(retryable=False)) == UNKNOWN


def test_a_hint_is_kept_whichever_step_speaks() -> None:
    """The user's classifier says whose failure it is; the wait that was asked for stays."""
    hinted = caused(ValueError(), error(retry_after=9))

    assert classify(hinted, lambda _: NODE) == Failure(Category.NODE, 9.0)
    assert classify(hinted, lambda _: Failure(Category.NODE, 4.0)) == Failure(Category.NODE, 4.0)
    assert classify(hinted, None, lambda _: None) == Failure(Category.UNKNOWN, 9.0)


# -- chains and groups -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (caused(ValueError(), caused(KeyError(), ConnectionError())), NODE),
        (beside(ValueError(), ConnectionError()), NODE),
        (beside(ValueError(), ConnectionError(), suppressed=True), UNKNOWN),
        (caused(beside(ValueError(), ConnectionError()), KeyError()), UNKNOWN),
        (caused(ValueError(), ExceptionGroup("g", [KeyError(), ConnectionError()])), NODE),
    ],
    ids=["cause of a cause", "context", "suppressed context", "cause hides context", "group behind an error"],
)
def test_what_is_behind_an_error_counts(failure: Exception, expected: Failure) -> None:
    """``__cause__`` first, else ``__context__`` unless it was suppressed, as a traceback shows it."""
    assert classify(failure) == expected


def test_a_chain_that_bites_its_tail_ends() -> None:
    """Cycles are walked once."""
    one, two = ValueError(), KeyError()
    one.__cause__, two.__cause__ = two, one

    assert classify(one) == UNKNOWN


@pytest.mark.parametrize(
    ("leaves", "expected"),
    [
        ([TimeoutError(), error(retryable=True)], SERVICE),
        ([TimeoutError(), error(retryable=True), ValueError()], UNKNOWN),
        ([TimeoutError(), ValueError(), error(permanent=True)], PERMANENT),
        ([error(retry_after=3), ExceptionGroup("h", [error(retry_after=8), TimeoutError()])],
         Failure(Category.SERVICE, 8.0)),
        ([error(retry_after=3), error(permanent=True)], PERMANENT),
    ],
)  # fmt: skip
def test_of_a_group_the_gravest_leaf_stands(leaves: list[Exception], expected: Failure) -> None:
    """PERMANENT before UNKNOWN before SERVICE before NODE, with the longest hint of all."""
    assert classify(ExceptionGroup("g", leaves)) == expected


def test_what_a_group_says_of_itself_counts_too() -> None:
    """A group's own attributes and its cause are levels of the chain like others."""

    class Vetoed(ExceptionGroup[Exception]):
        permanent = True

    class Hinted(ExceptionGroup[Exception]):
        retry_after = 6.0

    assert classify(Vetoed("g", [TimeoutError()])) == PERMANENT
    assert classify(Hinted("g", [TimeoutError()])) == Failure(Category.NODE, 6.0)
    assert classify(caused(ExceptionGroup("g", [TimeoutError()]), error(permanent=True))) == PERMANENT


# -- what foreign code does wrong ------------------------------------------------------------------------------------


def raising(_error: BaseException) -> Failure | None:
    raise RuntimeError("no table")


@pytest.mark.parametrize(
    "classifier",
    [raising, lambda _: Category.NODE, lambda _: "node", lambda _: Failure("node")],
    ids=["raises", "category", "text", "half a failure"],
)
def test_a_classifier_that_fails_is_skipped_and_logged(
    classifier: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """It raised, or gave something that is no Failure: the next step is asked."""
    assert classify(ConnectionError(), classifier) == NODE
    assert "is skipped" in caplog.text


@pytest.mark.parametrize("hint", [float("nan"), -1.0, True, "9"])
def test_a_hint_of_a_classifier_that_cannot_be_meant_is_dropped(hint: Any) -> None:
    """A reset time in the past makes a negative wait: the category stands, the wait does not."""
    assert classify(ValueError(), lambda _: Failure(Category.SERVICE, hint)) == SERVICE


class Raising(Exception):
    @property
    def permanent(self) -> bool:
        raise RuntimeError("not loaded")


class Method(Exception):
    def retryable(self) -> bool:
        return True


@pytest.mark.parametrize(
    "failure",
    [
        error(permanent="yes"), error(permanent=1), error(retryable="true"), error(service_pressure=1),
        error(retry_after="9"), error(retry_after=True), error(retry_after=float("nan")), Raising(), Method(),
    ],
)  # fmt: skip
def test_an_attribute_of_the_wrong_type_is_ignored_and_reported_once(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """One line for the developer, no effect on the failure."""
    results = [classify(failure) for _ in range(3)]

    assert results == [UNKNOWN] * 3
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "is ignored" in caplog.text


def test_a_class_attribute_is_as_good_as_an_instance_attribute() -> None:
    """A domain's error type declares once what all its errors are."""

    class NotFound(Exception):
        permanent = True

    assert classify(NotFound()) == PERMANENT


def test_a_call_that_our_own_protection_refused_is_the_services_failure() -> None:
    """Whoever asks for calm, also we ourselves: a worker waits gently and is not degraded."""
    assert classify(BulkheadFull("full")) == Failure(Category.SERVICE)
    assert classify(CircuitOpen("open", retry_after=7.0)) == Failure(Category.SERVICE, 7.0)
