"""trace: a span around what is below, while somebody listens to spans."""

import os
import subprocess
import sys
from collections.abc import Iterator

import anyio
import pytest
from opentelemetry import trace as api
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode

import longrun
from longrun import Pipeline, PipelineError, retry
from longrun.backoff import constant
from longrun.testing import Hang, Script
from longrun.tracing import trace


class Flaky(Exception):
    """A failure of the test's own."""


class Spans:
    """A provider with its spans in memory."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def finished(self) -> tuple[ReadableSpan, ...]:
        """The spans that have ended, in that order."""
        return self.exporter.get_finished_spans()


@pytest.fixture
def spans() -> Iterator[Spans]:
    """A provider of the test's own; the global one stays unset."""
    spans = Spans()
    yield spans
    spans.provider.shutdown()


@pytest.mark.anyio
async def test_a_call_is_one_span_with_the_names_of_span_and_pipeline(spans: Spans) -> None:
    """The span carries its name, the pipeline's, and what the user adds."""
    policy = Pipeline(trace("webhook.create", attributes={"team": "a"}, tracer_provider=spans.provider), name="hooks")

    result = await policy.do(Script("ok"))

    (span,) = spans.finished
    assert result == "ok"
    assert span.name == "webhook.create"
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "longrun"
    assert dict(span.attributes or {}) == {"longrun.call": "hooks", "team": "a", "longrun.attempts": 1}
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.anyio
async def test_an_error_sets_the_status_and_the_type(spans: Spans) -> None:
    """The error that comes out is on the span, once, and is still the original one."""
    failure = ConnectionResetError("peer went away")

    with pytest.raises(ConnectionResetError) as caught:
        await Pipeline(trace("fetch", tracer_provider=spans.provider)).do(Script(failure))

    (span,) = spans.finished
    assert caught.value is failure
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "peer went away"
    assert (span.attributes or {})["error.type"] == "ConnectionResetError"
    assert [event.name for event in span.events] == ["exception"]


@pytest.mark.anyio
async def test_the_type_of_an_error_that_is_not_builtin_is_qualified(spans: Spans) -> None:
    """The module tells two errors of one name apart."""
    with pytest.raises(Flaky):
        await Pipeline(trace("fetch", tracer_provider=spans.provider)).do(Script(Flaky()))

    (span,) = spans.finished
    assert (span.attributes or {})["error.type"] == f"{Flaky.__module__}.Flaky"


@pytest.mark.anyio
async def test_below_a_retry_each_attempt_is_a_span(spans: Spans) -> None:
    """First is outermost: a trace at the end sees attempts, not the call."""
    policy = Pipeline(retry.on(Flaky, 3, constant(1)), trace("attempt", tracer_provider=spans.provider))

    await policy.do(Script(Flaky(), Flaky(), "ok"))

    codes = [span.status.status_code for span in spans.finished]
    assert codes == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]


@pytest.mark.anyio
async def test_a_trace_above_is_the_parent_of_one_below(spans: Spans) -> None:
    """Two traces give a call with its attempts as children; foreign spans inside hang below them just the same."""
    option = trace("call", tracer_provider=spans.provider)
    below = trace("attempt", tracer_provider=spans.provider)

    await longrun.do(Script(Flaky(), "ok"), option, retry.on(Flaky, 1, constant(1)), below)

    *attempts, call = spans.finished
    assert [span.name for span in attempts] == ["attempt", "attempt"]
    assert call.context is not None
    assert {span.parent.span_id for span in attempts if span.parent} == {call.context.span_id}


@pytest.mark.anyio
async def test_a_cancelled_call_ends_its_span_without_an_error(spans: Spans) -> None:
    """A cancellation is no failure; it is marked, and goes on."""
    with anyio.move_on_after(1) as scope:
        await Pipeline(trace("slow", tracer_provider=spans.provider)).do(Script(Hang()))

    (span,) = spans.finished
    assert scope.cancelled_caught
    assert span.status.status_code is StatusCode.UNSET
    assert (span.attributes or {})["longrun.cancelled"] is True
    assert span.events == ()


@pytest.mark.anyio
async def test_concurrent_calls_have_spans_of_their_own(spans: Spans) -> None:
    """Hundred calls at once through one pipeline: none is the parent of another, and no context leaks out."""
    policy = Pipeline(trace("call", tracer_provider=spans.provider))

    async with anyio.create_task_group() as tg:
        for _ in range(100):
            tg.start_soon(policy.do, Script(0.5))

    assert len(spans.finished) == 100
    assert all(span.parent is None for span in spans.finished)
    assert not api.get_current_span().get_span_context().is_valid


@pytest.mark.anyio
async def test_a_span_that_is_sampled_out_changes_nothing(spans: Spans) -> None:
    """Result and error are the same, and nothing is exported."""
    provider = TracerProvider(sampler=ALWAYS_OFF)
    policy = Pipeline(trace("call", tracer_provider=provider))

    assert await policy.do(Script("ok")) == "ok"
    with pytest.raises(Flaky):
        await policy.do(Script(Flaky()))
    assert spans.finished == ()


@pytest.mark.anyio
async def test_without_a_provider_no_span_is_opened() -> None:
    """What runs inside sees no span, not even a no-op one that would cost its share."""
    seen: list[object] = []

    async def work() -> str:
        seen.append(api.get_current_span())
        return "ok"

    assert await Pipeline(trace("call")).do(work) == "ok"
    assert seen == [api.INVALID_SPAN]


LATE = """
import asyncio, sys
from opentelemetry import trace as api
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from longrun import Pipeline
from longrun.tracing import trace

policy = Pipeline(trace("call"))
exporter = InMemorySpanExporter()

async def work():
    return 1

async def main():
    await policy.do(work)
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    api.set_tracer_provider(provider)
    await policy.do(work)
    await policy.do(work)

asyncio.run(main())
print(len(exporter.get_finished_spans()))
"""


def test_a_provider_that_is_set_later_is_noticed() -> None:
    """The pipeline was built, and used, before: from the next call on there are spans."""
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=False, timeout=60)

    assert (done.stdout.strip(), done.stderr) == ("2", "")


def test_a_provider_named_in_the_environment_is_used() -> None:
    """OpenTelemetry's own variable is honoured though we look past the environment on each call."""
    code = LATE.replace("    api.set_tracer_provider(provider)\n", "").replace(
        "print(len(exporter.get_finished_spans()))", "print(type(api.get_tracer_provider()).__module__)"
    )
    environment = {**os.environ, "OTEL_PYTHON_TRACER_PROVIDER": "sdk_tracer_provider"}

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60, env=environment
    )

    assert (done.stdout.strip(), done.stderr) == ("opentelemetry.sdk.trace", "")


def test_the_installed_api_tells_cheaply_that_no_provider_is_set() -> None:
    """We read a variable of OpenTelemetry's; should it be renamed, tracing still works but no longer costs nothing."""
    assert hasattr(api, "_TRACER_PROVIDER")


def test_importing_trace_imports_nothing_of_opentelemetry() -> None:
    """Optional means not loaded before it is used."""
    code = "import sys, longrun.tracing, longrun.otel; print([m for m in sys.modules if m.startswith('opentelemetry')])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["tracing", "otel"])
def test_without_the_package_the_remedy_is_named(module: str) -> None:
    """One clear error where the option is made, not inside the first call."""
    make = {"tracing": "longrun.tracing.trace('x')", "otel": "longrun.otel.Instruments()"}[module]
    code = f"import sys; sys.modules['opentelemetry'] = None; import longrun, longrun.{module}; {make}"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)

    assert "PipelineError" in done.stderr
    assert "opentelemetry-api; install it" in done.stderr


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_name_that_is_none_is_refused(name: object) -> None:
    """The value and the remedy are in the message."""
    with pytest.raises(PipelineError, match="give the span a short name"):
        trace(name)  # type: ignore[arg-type]  # what is tested


def test_a_pipeline_says_what_it_traces() -> None:
    """In words, before anything runs."""
    assert "trace 'webhook.create'" in Pipeline(trace("webhook.create")).describe()
