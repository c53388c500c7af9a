"""Tasks as values: what is checked when one is made."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from longrun import Gate, Run, Task, retry, timeout
from longrun.backoff import constant


async def work() -> None:
    """Nothing to do."""


async def hook() -> None:
    """Nothing to close."""


def sync_predicate(value: object) -> bool:
    return bool(value)


def test_a_task_is_a_frozen_value() -> None:
    """It can be shared and kept; nothing changes behind one's back."""
    task = Task.every("poll", 10, work)

    with pytest.raises(AttributeError):
        task.terms.interval = 5.0  # type: ignore[misc]  # wrong on purpose


def test_durations_may_be_timedeltas() -> None:
    """Every duration of a task becomes seconds."""
    task = Task.every(
        "poll", timedelta(minutes=1), work, timeout=timedelta(seconds=5), delay=timedelta(seconds=2),
        phase=timedelta(seconds=3), jitter=timedelta(milliseconds=100),
    )  # fmt: skip

    assert (task.terms.interval, task.terms.timeout, task.delay, task.phase, task.terms.jitter) == (
        60.0,
        5.0,
        2.0,
        3.0,
        0.1,
    )


def test_rules_and_other_options_are_told_apart() -> None:
    """Rules go to the engine; whatever else wraps each attempt."""
    limit = timeout.after(3)

    task = Task.once("job", work, [retry.on(ValueError, 2), [limit, retry.on(OSError, 1)]])

    assert [rule.name for rule in task.terms.rules] == ["ValueError", "OSError"]
    assert task.terms.layers == (limit,)


class Service:
    """A domain object whose methods are work."""

    async def poll(self) -> None: ...

    async def tick(self, run: Run) -> None: ...

    async def __call__(self, run: Run, extra: int = 0) -> None: ...


async def wants_run(run: Run) -> None: ...


async def may_take_something(page: int = 1) -> None: ...


async def wants_two(one: int, two: int) -> None: ...


@pytest.mark.parametrize(
    ("given", "takes_run"),
    [
        (work, False), (Service().poll, False), (may_take_something, False), (partial(wants_two, 1, 2), False),
        (wants_run, True), (Service().tick, True), (Service(), True), (partial(wants_two, 1), True),
    ],
)  # fmt: skip
def test_work_with_one_required_parameter_gets_its_run(given: Callable[..., object], takes_run: bool) -> None:
    """Functions, methods, partials and callable objects."""
    assert Task.once("job", given).terms.takes_run is takes_run  # type: ignore[arg-type]  # shapes on purpose


NAN, INF = float("nan"), float("inf")

BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: Task.once("", work), "task name is ''"),
    (lambda: Task.once("a\nb", work), r"task name is 'a\\nb'"),
    (lambda: Task.once(None, work), "task name is None"),  # type: ignore[arg-type]  # wrong on purpose
    (lambda: Task.once("job", None), "task 'job': work is None"),  # type: ignore[arg-type]  # wrong on purpose
    (lambda: Task.once("job", wants_two), r"must take \(\) or \(run\)"),  # type: ignore[arg-type]  # on purpose
    (lambda: Task.once("job", work, 5), "task 'job': option 5"),  # type: ignore[arg-type]  # wrong on purpose
    (lambda: Task.once("job", work, [None]), "task 'job': option None"),  # type: ignore[list-item]  # on purpose
    (lambda: Task.once("job", work, retry.on_result(sync_predicate)), "OnResult does not fit a task"),
    (lambda: Task.once("job", work, timeout=0), "task 'job': timeout is 0"),
    (lambda: Task.once("job", work, timeout=NAN), "task 'job': timeout is nan"),
    (lambda: Task.once("job", work, delay=-1), "task 'job': delay is -1"),
    (lambda: Task.once("job", work, delay=INF), "task 'job': delay is inf"),
    (lambda: Task.once("job", work, shutdown=5), "task 'job': shutdown is 5"),  # type: ignore[arg-type]  # on purpose
    (lambda: Task.once("job", work, gate="key"), "task 'job': gate is 'key'"),  # type: ignore[arg-type]  # on purpose
    (lambda: Task.every("poll", 0, work), "task 'poll': interval is 0"),
    (lambda: Task.every("poll", -5, work), "task 'poll': interval is -5"),
    (lambda: Task.every("poll", NAN, work), "task 'poll': interval is nan"),
    (lambda: Task.every("poll", True, work), "task 'poll': interval is True"),
    (lambda: Task.every("poll", 0.004, work), "the finest grid is 0.005 s"),
    (lambda: Task.every("poll", 1, work, jitter=-1), "task 'poll': jitter is -1"),
    (lambda: Task.every("poll", 1, work, phase=-1), "task 'poll': phase is -1"),
    (lambda: Task.every("poll", 1, work, timing="often"), "timing is 'often'; use 'fixed_rate' or"),  # type: ignore[arg-type]  # on purpose
    (lambda: Task.every("poll", 1, work, missed="all"), "missed is 'all'; use 'skip' or"),  # type: ignore[arg-type]  # on purpose
    (lambda: Gate(""), "Gate key is ''"),
    (lambda: Gate(5), "Gate key is 5"),  # type: ignore[arg-type]  # wrong on purpose
]


@pytest.mark.parametrize(("make", "said"), BAD, ids=[said for _make, said in BAD])
def test_what_makes_no_sense_is_refused_by_task_and_field(make: Callable[[], object], said: str) -> None:
    """When it is made, not when it runs."""
    with pytest.raises(ValueError, match=said):
        make()


def test_a_task_may_have_everything_at_once() -> None:
    """The fields go together."""
    task = Task.every(
        "poll", 5, work, retry.on(ValueError, 1, constant(1)), timeout=3, delay=1, jitter=0.5, timing="fixed_delay",
        missed="catch_up_one", shutdown=hook, gate=Gate("token"),
    )  # fmt: skip

    assert task.terms.timing == "fixed_delay"
    assert task.terms.missed == "catch_up_one"
