"""Stall, as a domain writes it: what is taken, and what is refused with which words."""

import math
from dataclasses import FrozenInstanceError

import pytest

from longrun import Critic
from orchestrator.contracts import GlobalWorkerSpec, SpecError, Stall, WorkerSpec
from orchestrator.critics import critic_of


async def work(_tenant: str) -> None:
    """Nothing to do."""


async def tidy() -> None:
    """Nothing to do either."""


async def ask(_run: object) -> None:
    """Decides nothing."""


class Forgetful:
    """An escalator whose ``forget`` cannot be called in passing."""

    async def __call__(self, _run: object) -> None:
        """Decides nothing."""

    async def forget(self, run_id: str) -> None:
        """Would have to be awaited."""


#: A whole number that Python can hold and its floats cannot.
BEYOND_ANY_FLOAT = 10**400


def short(value: object) -> str:
    return repr(value)[:30]


def stall(**fields: object) -> Stall:
    return Stall(**{"expected": 10.0, **fields})  # type: ignore[arg-type]  # nonsense is what is tested


def test_a_stall_is_plain_data():
    """Frozen, equal by value, with the defaults of the documentation."""
    made = Stall(60)

    assert made == Stall(expected=60)
    assert (made.idle, made.backstop, made.ceiling, made.escalate, made.extend_by, made.tick) == (
        None, 2.0, None, "kill", None, 1.0,
    )  # fmt: skip
    with pytest.raises(FrozenInstanceError):
        made.expected = 5  # type: ignore[misc]  # it is what is tested


@pytest.mark.parametrize("field", ["expected", "idle", "ceiling", "extend_by", "tick"])
@pytest.mark.parametrize(
    "value",
    [0, -1, -0.5, math.nan, math.inf, -math.inf, "60", b"60", True, False, [], {}, 1j, BEYOND_ANY_FLOAT],
    ids=short,
)
def test_a_duration_is_a_finite_number_of_seconds_above_zero(field, value):
    """One error that names the field and the value."""
    with pytest.raises(SpecError, match=rf"Stall\.{field} is .*; give seconds as a finite number above 0"):
        stall(**{field: value})


def test_what_is_expected_can_be_doubled():
    """The backstop multiplies it: a number so large that twice that is infinite is refused here, not in phase 2."""
    with pytest.raises(SpecError, match=r"Stall\.expected is 1e\+308"):
        stall(expected=1e308)


@pytest.mark.parametrize("field", ["expected", "tick"])
def test_what_has_to_be_there_cannot_be_none(field):
    """Only idle, ceiling and extend_by may be left out."""
    with pytest.raises(SpecError, match=rf"Stall\.{field} is None"):
        stall(**{field: None})


@pytest.mark.parametrize("value", ["2", None, True, [2], 2j, {}])
def test_a_backstop_is_a_number(value):
    """Named with its value and what it means."""
    with pytest.raises(SpecError, match=r"Stall\.backstop is .*; give a number above 1, a multiple of expected"):
        stall(backstop=value)


@pytest.mark.parametrize("value", [1, 0.5, 0, -3, math.nan, math.inf, BEYOND_ANY_FLOAT], ids=short)
def test_a_backstop_that_cannot_be_meant_is_taken_as_two(value):
    """Not refused: it is the floor."""
    assert critic_of(stall(backstop=value)).allowed == 20


@pytest.mark.parametrize("ceiling", [10, 9.99, 1])
def test_a_ceiling_that_nobody_can_pass_is_refused(ceiling):
    """It would end each run before it is late."""
    with pytest.raises(SpecError, match=r"Stall\.ceiling is .* no run would ever be late; give a ceiling above"):
        stall(ceiling=ceiling)


@pytest.mark.parametrize("value", ["", "KILL", "extend", "extend-once", None, 5, True, b"kill", ("kill",)])
def test_an_escalation_that_is_unknown_is_refused(value):
    """With the words that there are."""
    with pytest.raises(SpecError, match=r"Stall\.escalate is .*; use 'kill', 'extend_once' or an async callable"):
        stall(escalate=value)


def test_an_extension_needs_its_seconds():
    """extend_once by how much?"""
    with pytest.raises(SpecError, match="extend_by is not set; give the seconds to extend by"):
        stall(escalate="extend_once")


@pytest.mark.parametrize(
    ("backstop", "seconds", "allowed"),
    [(2.0, 10, 10), (2.0, 3, 10), (5.0, 40, 40), (0.5, 10, 10), (math.nan, 10, 10), (BEYOND_ANY_FLOAT, 1, 10)],
    ids=short,
)
def test_an_extension_that_would_never_move_the_deadline_is_refused(backstop, seconds, allowed):
    """A late run has so many seconds in any case."""
    with pytest.raises(
        SpecError, match=rf"extend_by is {seconds}, .* may go on for {allowed} s in any case .* give more"
    ):
        stall(escalate="extend_once", extend_by=seconds, backstop=backstop)


def test_an_extension_of_a_silent_run_may_be_short():
    """It may have become silent long before it would be late; nothing can be said then."""
    assert stall(escalate="extend_once", extend_by=3, idle=1).extend_by == 3


def test_an_extension_above_the_ceiling_is_taken():
    """The ceiling is what bounds it."""
    assert stall(escalate="extend_once", extend_by=3600, ceiling=60).ceiling == 60


def test_an_escalator_whose_forget_has_to_be_awaited_is_refused():
    """Nobody would await it; nothing would ever be forgotten."""
    with pytest.raises(SpecError, match="forget"):
        stall(escalate=Forgetful())


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"expected": 1},
        {"expected": 0.001},
        {"idle": 3600.0},
        {"idle": 0.01, "tick": 0.01},
        {"ceiling": 10.1},
        {"backstop": 1.5},
        {"backstop": 1e300},
        {"escalate": "extend_once", "extend_by": 10.5},
        {"escalate": ask},
        {"escalate": ask, "extend_by": 60},
        {"expected": 10**300},
    ],
)
def test_what_a_spec_takes_makes_a_critic(fields):
    """Nothing is refused only when the workers start, hours after the spec was written."""
    assert isinstance(critic_of(stall(**fields)), Critic)


@pytest.mark.parametrize("value", [60, "60", {"expected": 60}, Stall, ask])
@pytest.mark.parametrize("kind", [WorkerSpec, GlobalWorkerSpec])
def test_a_spec_takes_a_stall_only(kind, value):
    """A number is no Stall, and neither is its class."""
    with pytest.raises(SpecError, match=r"'poll': stall is .*; give a Stall"):
        kind("poll", 10, work if kind is WorkerSpec else tidy, stall=value)


@pytest.mark.parametrize("value", [0, -1, True, False, 1.5, "3", [2], math.inf])
def test_a_limit_of_a_spec_is_a_whole_number_of_runs(value):
    """At least one; named with its value."""
    with pytest.raises(SpecError, match=r"'poll': limit is .*; give a whole number of runs, at least 1"):
        WorkerSpec("poll", 10, work, limit=value)
