"""Asking an escalator: whatever it does is an answer or an error that is returned, in bounded time."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from longrun import Critic, Decision, EscalatorError, ExtendBy, ExtendOnce, Kill, RunInfo

pytestmark = pytest.mark.anyio

INFO = RunInfo(id="r-1", task="job", attempt=1, elapsed=70.0, expected=60.0, idle_for=12.0, left=50.0)


def critic(escalator: Callable[[RunInfo], Any], **settings: Any) -> Critic:
    return Critic(escalator, **{"expected": 60, "consult_timeout": 5, **settings})


def answering(answer: object) -> Callable[[RunInfo], Awaitable[Any]]:
    async def escalator(info: RunInfo) -> object:
        assert info is INFO
        return answer

    return escalator


@pytest.mark.parametrize("answer", [None, Kill("stalled"), ExtendBy(30) | ExtendBy(20)])
async def test_an_answer_is_returned_as_it_is(answer: Decision | None) -> None:
    """Whatever an escalator may say."""
    assert await critic(answering(answer)).consult(INFO) == answer


@pytest.mark.parametrize("answer", ["kill", 30, True, Kill, [Kill("a")]])
async def test_an_answer_that_is_no_decision_is_an_error(answer: object) -> None:
    """It says who answered what."""
    error = await critic(answering(answer)).consult(INFO)

    assert isinstance(error, EscalatorError)
    assert f"answering.<locals>.escalator returned a {type(answer).__name__}; it must return" in str(error)


async def test_an_escalator_that_is_not_async_is_an_error() -> None:
    """It returned its decision without being awaited."""
    error = await critic(lambda info: Kill("stalled")).consult(INFO)

    assert isinstance(error, EscalatorError)
    assert "returned a Kill without being awaited; make it an async function" in str(error)


async def test_an_escalator_that_raises_is_an_error_with_its_cause() -> None:
    """In the async part, and before it."""
    fault = LookupError("no such table")

    async def later(info: RunInfo) -> None:
        await anyio.sleep(1)
        raise fault

    def at_once(info: RunInfo) -> Awaitable[None]:
        raise fault

    for escalator in (later, at_once):
        error = await critic(escalator).consult(INFO)
        assert isinstance(error, EscalatorError)
        assert error.__cause__ is fault
        assert "raised LookupError: no such table; the run keeps its deadline" in str(error)


async def test_an_error_that_cannot_be_printed_is_an_error_all_the_same() -> None:
    """Nothing that an escalator does is raised."""

    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    async def escalator(info: RunInfo) -> None:
        raise Unspeakable

    error = await critic(escalator).consult(INFO)

    assert isinstance(error, EscalatorError)
    assert "Unspeakable" in str(error)


async def test_an_escalator_that_hangs_is_an_error_when_its_time_is_up() -> None:
    """After consult_timeout seconds, to the instant."""

    async def hang(info: RunInfo) -> None:
        await anyio.sleep_forever()

    started = anyio.current_time()

    error = await critic(hang, consult_timeout=7).consult(INFO)

    assert isinstance(error, EscalatorError)
    assert "did not answer within 7 s" in str(error)
    assert isinstance(error.__cause__, TimeoutError)
    assert anyio.current_time() - started == pytest.approx(7.0)


async def test_an_answer_that_comes_after_its_time_is_an_error() -> None:
    """An escalator that ignores its cancellation for a while is waited for, and what it says then is not heard."""

    async def stubborn(info: RunInfo) -> Decision:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(20)
        return Kill("stalled")

    started = anyio.current_time()

    error = await critic(stubborn).consult(INFO)

    assert isinstance(error, EscalatorError)
    assert "did not answer within 5 s" in str(error)
    assert anyio.current_time() - started == pytest.approx(20.0)


async def test_a_consult_in_a_task_of_its_own_can_be_left_behind() -> None:
    """The way to live with an escalator that ignores its cancellation: nobody waits for it, the deadline counts."""
    released = anyio.Event()

    async def deaf(info: RunInfo) -> Decision:
        with anyio.CancelScope(shield=True):
            await released.wait()
        return ExtendBy(1000)

    one = critic(deaf)
    started = anyio.current_time()
    watch = one.watch(started)
    answers: list[object] = []

    async def ask() -> None:
        answers.append(await one.consult(INFO))

    async with anyio.create_task_group() as tg:
        await anyio.sleep_until(watch.next_look(None))
        assert watch.look(anyio.current_time(), None) == "stalled"
        tg.start_soon(ask)
        await anyio.sleep_until(watch.next_look(None))

        assert watch.look(anyio.current_time(), None) == "expired"
        assert anyio.current_time() - started == pytest.approx(120.0)
        assert answers == []
        released.set()
    assert isinstance(answers[0], EscalatorError)


async def test_cancelling_the_caller_goes_through() -> None:
    """It is neither an answer nor a failure of the escalator."""
    returned = False

    async def hang(info: RunInfo) -> None:
        await anyio.sleep_forever()

    with anyio.move_on_after(2) as scope:
        await critic(hang).consult(INFO)
        returned = True

    assert scope.cancelled_caught
    assert not returned


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_cancelling_the_task_of_the_caller_on_asyncio_goes_through() -> None:
    """Also when it is not done with anyio."""
    import asyncio

    waiting = asyncio.Event()

    async def hang(info: RunInfo) -> None:
        waiting.set()
        await asyncio.sleep(3600)

    task = asyncio.get_running_loop().create_task(critic(hang).consult(INFO))
    await waiting.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_that_nobody_asked_for_is_a_failure_of_the_escalator() -> None:
    """It waited for something that somebody else cancelled; the runner is not to go down with it."""
    import asyncio

    async def escalator(info: RunInfo) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    error = await critic(escalator).consult(INFO)

    assert isinstance(error, EscalatorError)
    assert "let a cancellation out that nobody had asked for" in str(error)
    assert isinstance(error.__cause__, asyncio.CancelledError)


async def test_a_signal_is_not_a_failure_of_the_escalator() -> None:
    """Ctrl-C ends the program, not the consult."""

    async def escalator(info: RunInfo) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await critic(escalator).consult(INFO)


async def test_many_consults_at_a_time_do_not_disturb_one_another() -> None:
    """Some hang, some raise, some answer; each gets its own."""

    async def escalator(info: RunInfo) -> Decision | None:
        kind = int(info.id) % 3
        if kind == 0:
            await anyio.sleep_forever()
        if kind == 1:
            raise LookupError(info.id)
        await anyio.sleep(int(info.id) / 100)
        return ExtendBy(int(info.id))

    one = critic(escalator)
    answers: dict[str, object] = {}

    async def ask(run: str) -> None:
        info = RunInfo(id=run, task="job", attempt=1, elapsed=70.0, expected=60.0, idle_for=12.0, left=50.0)
        answers[run] = await one.consult(info)

    async with anyio.create_task_group() as tg:
        for number in range(1, 201):
            tg.start_soon(ask, str(number))

    for run, answer in answers.items():
        if int(run) % 3 == 2:
            assert answer == ExtendBy(int(run))
        else:
            assert isinstance(answer, EscalatorError)
            assert ("did not answer" in str(answer)) == (int(run) % 3 == 0)
    assert len(answers) == 200


async def test_the_end_of_a_run_is_passed_on_to_an_escalator_that_wants_to_know() -> None:
    """One that does not is left alone."""
    escalator = ExtendOnce(30)
    one = critic(escalator)
    assert await one.consult(INFO) == ExtendBy(30)
    assert await one.consult(INFO) is None

    one.forget("r-1")

    assert await one.consult(INFO) == ExtendBy(30)
    critic(answering(None)).forget("r-1")


async def test_an_escalator_that_fails_to_forget_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The runner goes on."""

    class Broken:
        async def __call__(self, info: RunInfo) -> None: ...

        def forget(self, run_id: str) -> None:
            raise LookupError(run_id)

    with caplog.at_level(logging.ERROR, "longrun.critic"):
        critic(Broken()).forget("r-1")

    assert [record.message for record in caplog.records if "failed to forget run r-1" in record.message]
