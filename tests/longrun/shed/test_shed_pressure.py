"""Which failures say that the other side is overloaded."""

import logging
from typing import Any

import pytest

from longrun import PipelineError
from longrun.errors import BulkheadFull
from longrun.shed.pressure import Pressure, overload


class Busy(Exception):
    """The other side asks for calm."""

    service_pressure = True


class Final(Exception):
    """An answer, and a bad one."""

    permanent = True


def group(*errors: Exception) -> ExceptionGroup[Exception]:
    return ExceptionGroup("g", list(errors))


@pytest.mark.parametrize(
    ("error", "sign"),
    [(BulkheadFull("full"), True), (Busy(), True), (TimeoutError(), True), (ConnectionError(), True),
     (ValueError(), False), (Final(), False)],
    ids=repr,
)  # fmt: skip
def test_by_default_rejections_and_failures_of_the_service_or_the_way_to_it_are_signs(
    error: Exception, sign: bool
) -> None:
    """Also as one leaf of a group."""
    assert overload(error) is sign
    assert Pressure(None, "shed.x")(error) is sign
    assert Pressure(None, "shed.x")(group(ValueError(), error)) is sign


@pytest.mark.parametrize("on", [KeyError, (KeyError,), (KeyError, OSError)], ids=repr)
def test_classes_take_the_place_of_the_default(on: Any) -> None:
    """One leaf of a group is enough; a class of groups means the group itself."""
    pressure = Pressure(on, "shed.x")

    assert [pressure(error) for error in (KeyError("k"), group(ValueError(), KeyError("k")))] == [True, True]
    assert [pressure(error) for error in (Busy(), ValueError(), group(ValueError()))] == [False, False, False]
    assert Pressure(ExceptionGroup, "shed.x")(group(ValueError())) is True


def test_a_predicate_is_asked_for_each_leaf() -> None:
    """Any leaf for which it is true is a sign."""
    asked = []

    def small(error: Exception) -> bool:
        asked.append(type(error))
        return isinstance(error, KeyError)

    pressure = Pressure(small, "shed.x")

    assert (pressure(ValueError()), pressure(group(ValueError(), KeyError("k"), OSError()))) == (False, True)
    assert asked == [ValueError, ValueError, KeyError]


def test_a_predicate_that_raises_is_logged_by_name_and_counts_as_no_sign(caplog: pytest.LogCaptureFixture) -> None:
    """With the traceback, and with the error that it was asked about."""

    class Broken:
        def __call__(self, error: Exception) -> bool:
            raise ZeroDivisionError

        def __repr__(self) -> str:
            return "broken"

    with caplog.at_level(logging.ERROR, logger="longrun.shed"):
        answer = Pressure(Broken(), "shed.x")(KeyError("k"))

    (record,) = caplog.records
    assert answer is False
    assert record.getMessage() == "predicate broken failed on KeyError; it is not counted as overload"
    assert (record.name, record.exc_info is not None) == ("longrun.shed", True)


@pytest.mark.parametrize(
    "on", [3, "KeyError", (), (KeyError, 3), BaseException, KeyboardInterrupt, (KeyError, KeyboardInterrupt), int]
)
def test_what_cannot_be_meant_is_refused_with_the_option_the_value_and_the_remedy(on: Any) -> None:
    """At construction."""
    with pytest.raises(PipelineError) as refused:
        Pressure(on, "shed.adaptive")

    assert str(refused.value) == (
        f"shed.adaptive on is {on!r}; give Exception classes (cancellation is never counted), "
        "a predicate (error) -> bool, or leave it out"
    )
