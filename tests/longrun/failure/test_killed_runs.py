"""What category a killed run is: SERVICE, unless the application says otherwise."""

import pytest

from longrun import Category, Failure, RunKilled, classify


@pytest.mark.parametrize("cause", [None, ConnectionError("closed"), KeyError("torn")])
def test_a_killed_run_is_a_failure_of_the_service_whatever_the_work_raised_meanwhile(cause: Exception | None) -> None:
    """It is retried, and gently: nobody knows what hung."""
    killed = RunKilled("no sign of life", "poll")
    killed.__cause__ = cause

    assert classify(killed) == Failure(Category.SERVICE)


@pytest.mark.parametrize("category", list(Category))
def test_the_application_is_asked_first(category: Category) -> None:
    """Category by policy."""

    def of_the_application(error: BaseException) -> Failure | None:
        return Failure(category) if isinstance(error, RunKilled) else None

    assert classify(RunKilled("no sign of life"), of_the_application) == Failure(category)


def test_a_permanent_failure_behind_the_kill_is_permanent_all_the_same() -> None:
    """The veto beats everything."""

    class Final(Exception):
        permanent = True

    killed = RunKilled("no sign of life")
    killed.__cause__ = Final()

    assert classify(killed) == Failure(Category.PERMANENT)


def test_in_a_group_the_gravest_category_stands() -> None:
    """A killed run beside a lost connection is the service's failure."""
    group = ExceptionGroup("two", [RunKilled("no sign of life"), ConnectionError()])

    assert classify(group) == Failure(Category.SERVICE)
