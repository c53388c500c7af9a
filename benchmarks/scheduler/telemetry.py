"""The OpenTelemetry SDK as a service sets it up, but for where it sends what it collects: nowhere."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.missing import NotHere

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider


def providers() -> tuple["TracerProvider", "MeterProvider"]:
    """Recording spans in batches, metrics in memory. NotHere without the SDK."""
    try:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
    except ModuleNotFoundError as error:
        raise NotHere("opentelemetry-sdk is not installed") from error

    class Nowhere(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 - the SDK names it
            return SpanExportResult.SUCCESS

    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(Nowhere(), max_queue_size=8192, schedule_delay_millis=500))
    return tracers, MeterProvider([InMemoryMetricReader()])
