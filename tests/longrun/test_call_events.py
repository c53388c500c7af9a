"""What a call tells: its events, and the timeline on the error that comes out."""

import anyio
import pytest

import longrun
from longrun import Pipeline, observe, retry
from longrun.backoff import constant
from longrun.events import AttemptFailed, AttemptStarted, AttemptSucceeded, Event, GaveUp, RetryScheduled
from longrun.testing import RecordingListener, Script

pytestmark = pytest.mark.anyio


class Flaky(Exception):
    """A failure of the test's own."""


async def test_each_attempt_has_one_start_and_one_end(events: RecordingListener) -> None:
    """Started and failed, or started and succeeded, with what was decided between."""
    failure = Flaky()
    policy = Pipeline(observe(events), retry.on(Flaky, 3, constant(2), name="flaky"), name="fetch")

    await policy.do(Script(failure, 1.5))

    assert events.events == [
        AttemptStarted("fetch", 1),
        AttemptFailed("fetch", 1, 0.0, failure),
        RetryScheduled("fetch", 1, 2.0, "flaky", failure),
        AttemptStarted("fetch", 2),
        AttemptSucceeded("fetch", 2, pytest.approx(1.5)),
    ]


async def test_a_call_without_rules_is_told_just_as_well(events: RecordingListener) -> None:
    """One pair, also without any policy."""
    failure = Flaky()

    await longrun.do(Script("ok"), observe(events))
    with pytest.raises(Flaky):
        await longrun.do(Script(failure), observe(events))

    assert events.events == [
        AttemptStarted("call", 1),
        AttemptSucceeded("call", 1, 0.0),
        AttemptStarted("call", 1),
        AttemptFailed("call", 1, 0.0, failure),
        GaveUp("call", 1, failure, "no rule retries Flaky"),
    ]


async def test_several_rules_and_listeners_still_tell_each_attempt_once(events: RecordingListener) -> None:
    """Two rules are one engine: three attempts are three starts for each listener."""
    second = RecordingListener()

    await longrun.do(
        Script(Flaky(), OSError(), "ok"),
        retry.on(Flaky, 3, constant(1)),
        observe(events),
        retry.on(OSError, 3, constant(1)),
        observe(second),
    )

    assert len(events.of(AttemptStarted)) == 3
    assert second.events == events.events


async def test_a_failing_listener_changes_nothing(events: RecordingListener, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged; the call goes on and the other listeners hear everything."""

    def broken(event: Event) -> None:
        raise RuntimeError("disk full")

    result = await longrun.do(Script(Flaky(), "ok"), retry.on(Flaky, 3, constant(1)), observe(broken), observe(events))

    assert result == "ok"
    assert len(events.events) == 5
    assert "disk full" in caplog.text


async def test_the_events_of_a_call_inside_a_call_go_to_its_own_listeners(events: RecordingListener) -> None:
    """Nothing leaks from an outer call into an inner one."""
    inner = RecordingListener()

    async def outer_work() -> str:
        return await Pipeline(observe(inner), name="inner").do(Script("ok"))

    await Pipeline(observe(events), name="outer").do(outer_work)

    assert {event.subject for event in events.events} == {"outer"}
    assert {event.subject for event in inner.events} == {"inner"}


async def test_the_error_carries_the_timeline_of_its_attempts() -> None:
    """Index, start, duration, error and wait of each attempt; the last says who stopped and why."""
    first, last = Flaky("first"), Flaky("last")

    async def work(script: Script = Script(first, last)) -> None:  # noqa: B008 - one script for all attempts
        await anyio.sleep(0.5)
        await script()

    begun = anyio.current_time()
    with pytest.raises(Flaky) as caught:
        await longrun.do(lambda: work(), retry.on(Flaky, 1, constant(3), name="flaky"))

    one, two = longrun.timeline(caught.value)
    assert (one.index, one.start, one.duration, one.error, one.wait) == (
        1, pytest.approx(begun), pytest.approx(0.5), first, 3.0,
    )  # fmt: skip
    assert (two.index, two.start, two.error, two.wait) == (2, pytest.approx(begun + 3.5), last, None)
    assert (two.stopped_by, two.reason) == ("flaky", "the one retry of rule 'flaky' is spent")
    assert (one.stopped_by, one.reason) == (None, None)


async def test_the_error_carries_one_note() -> None:
    """One line for the traceback: how often, how long, why."""
    with pytest.raises(Flaky) as caught:
        await longrun.do(Script(Flaky()), retry.on(Flaky, 2, constant(3), name="flaky"))

    assert caught.value.__notes__ == ["longrun: gave up after 3 attempts in 6 s: 2 retries of rule 'flaky' are spent"]


async def test_an_error_raised_through_several_calls_keeps_one_note_and_foreign_ones() -> None:
    """A single error object that fails again and again does not collect notes."""
    failure = Flaky()
    failure.add_note("the caller's own")

    for _ in range(5):
        with pytest.raises(Flaky):
            await longrun.do(Script(failure), retry.on(Flaky, 1, constant(0)))

    assert len(failure.__notes__) == 2
    assert failure.__notes__[0] == "the caller's own"
    assert len(longrun.timeline(failure)) == 2


async def test_an_error_that_refuses_attributes_goes_out_as_it_is() -> None:
    """No timeline, but the original error."""

    class Closed(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError("read-only")

    failure = Closed()

    with pytest.raises(Closed) as caught:
        await longrun.do(Script(failure), retry.on(Closed, 1, constant(0)))

    assert caught.value is failure
    assert longrun.timeline(failure) == ()


def test_an_error_that_never_passed_through_has_no_timeline() -> None:
    """An empty tuple, not an error about the error."""
    assert longrun.timeline(ValueError()) == ()
