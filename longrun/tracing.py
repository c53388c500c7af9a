"""trace: a span around everything below it, through the OpenTelemetry API.

Above a retry it is the span of the whole call, with an event for each attempt that failed; below it, of each attempt.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from longrun._version import __version__
from longrun.ambient import ambient
from longrun.errors import PipelineError
from longrun.events import AttemptStarted, Event
from longrun.option import Layer, Site, Wrapper
from longrun.telemetry import attributes_of, error_type

if TYPE_CHECKING:  # OpenTelemetry is optional: nothing of it is imported before the first trace is made
    from opentelemetry.trace import Span, Tracer, TracerProvider

T = TypeVar("T")

Attributes: TypeAlias = Mapping[str, str | bool | int | float]

#: The instrumentation scope of our spans.
SCOPE = "longrun"


class Trace(Layer):
    """The option that :func:`trace` makes."""

    __slots__ = ("_api", "_attributes", "_provider", "name")

    def __init__(self, name: str, attributes: Attributes | None, provider: "TracerProvider | None") -> None:
        if not isinstance(name, str) or not name:
            raise PipelineError(f"trace name is {name!r}; give the span a short name, for example 'webhook.create'")
        self.name = name
        self._attributes = dict(attributes or {})
        self._provider = provider
        self._api = _api()

    def build(self, site: Site) -> Wrapper:
        spans = Spans(self.name, site.name, self._attributes, self._api, self._provider)
        # Not an async function itself, for the sake of what it costs when there is nothing to do.
        return cast("Wrapper", spans)

    def describe(self) -> str:
        return f"trace {self.name!r}"


class Spans:
    """What wraps the calls of one pipeline. While no provider is set, it hands the call on as if it were not there."""

    __slots__ = ("_api", "_attributes", "_call", "_context", "_name", "_tracer", "awake")

    def __init__(
        self, name: str, call: str, attributes: Attributes, api: ModuleType, provider: "TracerProvider | None"
    ) -> None:
        self._name = name
        self._call = call
        self._attributes = {"longrun.call": call, "longrun.attempts": 1, **attributes}
        self._api = api
        self._context = _context()
        #: Whether there is anybody to open spans for; a pipeline leaves this layer out of its calls until there is.
        self.awake: Callable[[], object] = _provider_of(api) if provider is None else lambda: True
        self._tracer: Tracer | None = None if provider is None else provider.get_tracer(SCOPE, __version__)

    def __call__(self, call: Callable[[], Awaitable[T]], /) -> Awaitable[T]:
        tracer = self._tracer
        if tracer is None:
            if not self.awake():
                return call()
            tracer = self._tracer = self._api.get_tracer(SCOPE, __version__)
        return self._traced(call, tracer)

    async def _traced(self, call: Callable[[], Awaitable[T]], tracer: "Tracer") -> T:
        # What start_as_current_span does, without its two generators: they cost as much as the span.
        span = tracer.start_span(self._name, attributes=self._attributes)
        current = self._context.attach(self._api.set_span_in_context(span))
        try:
            if not span.is_recording():  # sampled out: the context goes on, and nobody reads what we would say
                return await call()
            heard = _Attempts(span, self._call)
            former = ambient.set(heard)
            try:
                return await call()
            except BaseException as error:
                self._failed(span, error)
                raise
            finally:
                ambient.reset(former)
                if heard.attempts > 1:
                    span.set_attribute("longrun.attempts", heard.attempts)
        finally:
            self._context.detach(current)
            span.end()

    def _failed(self, span: "Span", error: BaseException) -> None:
        if not isinstance(error, Exception | BaseExceptionGroup | KeyboardInterrupt | SystemExit):
            span.set_attribute("longrun.cancelled", True)  # no success, and no failure either
            return
        span.set_attribute("error.type", error_type(error))
        span.set_status(self._api.StatusCode.ERROR, str(error))
        span.record_exception(error)

    def describe(self) -> str:
        return f"trace {self._name!r}"


class _Attempts:
    """A listener that writes what it hears on one span."""

    __slots__ = ("_call", "_span", "attempts")

    def __init__(self, span: "Span", call: str) -> None:
        self._span = span
        self._call = call
        self.attempts = 1  # the first attempt is not told: only a call that fails has anything to tell

    def __call__(self, event: Event) -> None:
        self._span.add_event(event.name, attributes_of(event))
        if isinstance(event, AttemptStarted) and event.subject == self._call:
            self.attempts = event.attempt


def _api() -> ModuleType:
    try:
        from opentelemetry import trace as api
    except ModuleNotFoundError as error:
        raise PipelineError("trace needs the package opentelemetry-api; install it, or leave trace out") from error
    return api


def _context() -> ModuleType:
    from opentelemetry import context

    return context


def _provider_of(api: ModuleType) -> Callable[[], object]:
    """Reads the provider that was set, None while there is none; on each call, so it must cost next to nothing.

    The public ``get_tracer_provider`` looks into the environment each time, which takes longer than a whole call. It is
    asked once, and sets what the environment names; later a provider can come by ``set_tracer_provider`` alone, which
    fills a variable.
    """
    api.get_tracer_provider()
    if hasattr(api, "_TRACER_PROVIDER"):
        return partial(getattr, api, "_TRACER_PROVIDER")
    return lambda: not isinstance(api.get_tracer_provider(), api.ProxyTracerProvider)


def trace(name: str, *, attributes: Attributes | None = None, tracer_provider: "TracerProvider | None" = None) -> Trace:
    """Open a span *name* around what is below, while an OpenTelemetry provider is set; costs nothing while none is.

    An error sets the span's status and ``error.type``; a cancellation is no error. *attributes* are put on each span.
    *tracer_provider* is used instead of the global one. PipelineError without the package opentelemetry-api.
    """
    return Trace(name, attributes, tracer_provider)
