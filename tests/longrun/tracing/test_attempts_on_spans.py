"""A trace above a retry hears of the attempts below it."""

import anyio
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from longrun import Pipeline, observe, retry, timeout
from longrun.backoff import constant
from longrun.option import Option
from longrun.testing import Hang, RecordingListener, Script
from longrun.tracing import trace

pytestmark = pytest.mark.anyio


class Flaky(Exception):
    """A failure of the test's own."""


class Traced:
    """A trace option, and the spans that it made."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.option: Option = trace("call", tracer_provider=provider)

    @property
    def span(self) -> ReadableSpan:
        """The one span."""
        (span,) = self._exporter.get_finished_spans()
        return span

    @property
    def events(self) -> list[str]:
        """The names of what is written on it."""
        return [event.name for event in self.span.events]


@pytest.fixture
def traced() -> Traced:
    """A trace with its spans in memory."""
    return Traced()


async def test_a_call_that_succeeds_at_last_tells_what_went_wrong_before(traced: Traced) -> None:
    """One span, an event for each attempt that failed and each retry, and the number of attempts."""
    policy = Pipeline(traced.option, retry.on(Flaky, 3, constant(2), name="flaky"), name="fetch")

    await policy.do(Script(Flaky("down"), "ok"))

    failed, scheduled, *_ = traced.span.events
    assert traced.events == ["attempt.failed", "retry.scheduled", "attempt.started", "attempt.succeeded"]
    assert (failed.attributes or {})["error.type"] == f"{Flaky.__module__}.Flaky"
    assert (failed.attributes or {})["error.message"] == "down"
    assert (scheduled.attributes or {})["longrun.wait"] == 2.0
    assert (scheduled.attributes or {})["longrun.rule"] == "flaky"
    assert (traced.span.attributes or {})["longrun.attempts"] == 2


async def test_a_call_that_gives_up_says_so(traced: Traced) -> None:
    """The last event before the exception is the decision."""
    with pytest.raises(Flaky):
        await Pipeline(traced.option, retry.on(Flaky, 1, constant(1))).do(Script(Flaky()))

    assert traced.events[-2:] == ["retry.gave_up", "exception"]
    assert (traced.span.attributes or {})["longrun.attempts"] == 2


async def test_an_attempt_that_takes_too_long_is_told(traced: Traced) -> None:
    """A time limit below the retry counts as the failure that it is."""
    await Pipeline(traced.option, retry.on(TimeoutError, 1, constant(1)), timeout.after(3)).do(Script(Hang(), "ok"))

    assert traced.events[0] == "attempt.failed"
    assert ((traced.span.events[0].attributes or {})["error.type"]) == "longrun.errors.TimeoutExceeded"


async def test_listeners_and_trace_hear_the_same(traced: Traced, events: RecordingListener) -> None:
    """Where a listener is, the first attempt is told as well."""
    await Pipeline(traced.option, observe(events), retry.on(Flaky, 1, constant(1))).do(Script(Flaky(), "ok"))

    assert traced.events == [event.name for event in events.events]


async def test_calls_made_inside_are_told_on_the_nearest_span(traced: Traced) -> None:
    """What an inner, untraced pipeline retried explains the time that the outer call took; it is told by its name."""
    inner = Pipeline(retry.on(Flaky, 1, constant(1)), name="inner")
    script = Script(Flaky(), "ok")

    async def outer() -> None:
        await inner.do(script)

    await Pipeline(traced.option, name="outer").do(outer)

    assert {(event.attributes or {})["longrun.subject"] for event in traced.span.events} == {"inner"}
    assert (traced.span.attributes or {})["longrun.attempts"] == 1


async def test_nothing_is_heard_after_the_call(traced: Traced) -> None:
    """The ambient listener is gone with its span, also after an error or a cancellation."""
    policy = Pipeline(traced.option)
    with anyio.move_on_after(1):
        await policy.do(Script(Hang()))

    await Pipeline(retry.on(Flaky, 1, constant(1))).do(Script(Flaky(), "ok"))

    assert traced.events == []
