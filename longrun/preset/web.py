"""preset.http: what passes by itself between a client and an HTTP server.

Clients known by the names of their errors: httpx, httpx2, httpcore, aiohttp, requests, urllib3; the standard library's
by their classes. Answers and status errors of any client, by their attributes.
"""

from collections.abc import Collection

from longrun.backoff import Backoff, exponential
from longrun.chain import chain
from longrun.durations import Duration
from longrun.errors import PipelineError
from longrun.failure.baseline import HINT_CAP
from longrun.option import Option
from longrun.preset.hints import Hints
from longrun.preset.limit import limits
from longrun.preset.reading import attribute, header, lineage
from longrun.preset.retry_after import retry_after
from longrun.preset.transient import Transient
from longrun.registry import Registry
from longrun.rule import On, OnResult, build

#: Answers that a later try may get another of: those of AWS' and Azure's clients, with 425 (RFC 8470).
STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})

#: Methods that may be repeated: RFC 9110, section 9.2.2.
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})

_ANSWER = (("status_code",), ("status",))
_STATUS = (
    *_ANSWER, ("code",), ("http_status",),
    ("response", "status_code"), ("response", "status"), ("resp", "status"),
)  # fmt: skip
_HEADERS = (("headers",), ("response", "headers"), ("resp", "headers"))
_REQUEST = (("request",), ("request_info",), ("response", "request"), (), ("response",))

_HTTPX = {"TimeoutException", "NetworkError", "RemoteProtocolError", "ProxyError"}
_HTTPX_UNSENT = {"ConnectError", "ConnectTimeout", "PoolTimeout"}
_HTTPX_NAMES = ("httpx", "httpx2", "httpcore", "httpcore2")

#: A connection that was lost, refused or too slow: package and class, its subclasses included.
_LOST = frozenset(
    {(package, name) for package in _HTTPX_NAMES for name in _HTTPX}
    | {("aiohttp", name) for name in ("ClientConnectionError", "ClientPayloadError")}
    | {("requests", name) for name in ("ConnectionError", "Timeout", "ChunkedEncodingError")}
    | {("urllib3", name) for name in ("TimeoutError", "ProtocolError", "NewConnectionError", "ProxyError")}
    | {("urllib3", "EmptyPoolError")}
)
#: No connection was made, so nothing was asked: these may be repeated whatever the method.
_UNSENT = frozenset(
    {(package, name) for package in _HTTPX_NAMES for name in _HTTPX_UNSENT}
    | {("aiohttp", name) for name in ("ClientConnectorError", "ConnectionTimeoutError")}
    | {("requests", "ConnectTimeout")}
    | {("urllib3", name) for name in ("NewConnectionError", "ConnectTimeoutError", "EmptyPoolError")}
    | {("builtins", "ConnectionRefusedError"), ("socket", "gaierror")}
)
_NETWORK = Registry("network").load_defaults()


def http(
    *,
    retries: int | None = 3,
    backoff: Backoff | None = None,
    timeout: Duration | None = 30.0,
    attempt_timeout: Duration | None = 10.0,
    statuses: Collection[int] = STATUSES,
    unsafe: bool = False,
    method: str = "GET",
    hint_cap: Duration = HINT_CAP,
) -> list[Option]:
    """Options for calls over HTTP: answers in *statuses*, raised or returned, and lost connections are tried again.

    ``Retry-After`` becomes the ``retry_after`` of the error or answer and is waited for. One set of *retries* serves
    errors and answers. A request of a method that is not idempotent (POST, PATCH) is repeated only when no connection
    was made, or when it carries an ``Idempotency-Key``; *unsafe* repeats it always. Where neither error nor answer
    tells its method (aiohttp's connection errors, ``TimeoutExceeded``, errors of your own) it is taken to be *method*:
    say ``method="POST"`` for a pipeline that writes. *timeout* limits the whole call, *attempt_timeout* each attempt;
    None is no limit, and an attempt's limit that is not below the whole one is left out.

    Defaults: three retries, 30 s and 10 s as in .NET's standard HTTP pipeline; waits from 0.5 s (Google's HTTP client)
    up to 20 s (AWS' standard mode), +- 20 % (gRPC). PipelineError or ValueError for what makes no sense.
    """
    kinds = _Kinds(_checked(statuses), unsafe, _upper(method))
    curve = exponential(0.5, 20, jitter=0.2) if backoff is None else backoff
    matcher = Transient("transient HTTP failures", kinds.error, kinds.answer)
    rule = build(matcher, retries, curve, "http", hint_cap, preset=True, what="preset.http")
    return [
        *limits(timeout, "preset.http timeout"),
        On(rule),
        OnResult(kinds.answer, rule),
        *limits(attempt_timeout, "preset.http attempt_timeout", below=timeout),
        Hints("HTTP", asked, kinds.answer),
    ]


class _Kinds:
    """Which failures are transient."""

    __slots__ = ("_method", "_statuses", "_unsafe")

    def __init__(self, statuses: frozenset[int], unsafe: bool, method: str) -> None:
        self._statuses = statuses
        self._unsafe = unsafe
        self._method = method

    def answer(self, value: object) -> bool:
        """Whether a returned *value* is an answer to be asked for again."""
        # Asked of every answer: the usual attribute and the usual result first.
        try:
            status = getattr(value, "status_code", None)
        except Exception:  # noqa: BLE001 - a property of foreign code; the result is the caller's all the same
            return False
        if type(status) is int and status not in self._statuses:
            return False
        return _status(value, _ANSWER) in self._statuses and self._repeatable(value)

    def error(self, error: Exception) -> bool:
        """Whether *error* may pass by itself, and its request be repeated."""
        if _certificate_refused(error):
            return False
        status = _status(error, _STATUS)
        if status is not None:
            return status in self._statuses and self._repeatable(error)
        return unsent(error) or (lost(error) and self._repeatable(error))

    def _repeatable(self, subject: object) -> bool:
        if self._unsafe:
            return True
        for path in _REQUEST:
            method = attribute(subject, *path, "method")
            if isinstance(method, str) and method:
                key = header(attribute(subject, *path, "headers"), "idempotency-key")
                return method.upper() in IDEMPOTENT or bool(key)
        return self._method in IDEMPOTENT


def lost(error: object) -> bool:
    """Whether *error* is of a connection: refused, lost, or too slow."""
    if isinstance(error, Exception) and _NETWORK.contains(error):
        return True
    return not _LOST.isdisjoint(lineage(error)) or any(lost(inner) for inner in _reasons(error))


def unsent(error: object) -> bool:
    """Whether *error* came before anything was sent."""
    return not _UNSENT.isdisjoint(lineage(error)) or any(unsent(inner) for inner in _reasons(error))


def asked(subject: object) -> float | None:
    """Seconds that the headers of an error or answer ask to wait."""
    for path in _HEADERS:
        headers = attribute(subject, *path)
        if headers is not None:
            return retry_after(headers)
    return None


def _reasons(error: object) -> list[BaseException]:
    """What requests, urllib3 and urllib have put their error around: an argument, or its ``reason``."""
    inner = [attribute(error, "reason"), *(error.args[:1] if isinstance(error, BaseException) else ())]
    return [reason for reason in inner if isinstance(reason, BaseException) and reason is not error]


def _status(subject: object, paths: tuple[tuple[str, ...], ...]) -> int | None:
    for path in paths:
        status = attribute(subject, *path)
        if isinstance(status, int) and 100 <= status <= 599:
            return int(status)
    return None


def _certificate_refused(error: BaseException) -> bool:
    """A certificate that is not trusted does not become so by asking again."""
    return any(name in _CERTIFICATE for part in chain(error) for _package, name in lineage(part))


_CERTIFICATE = frozenset({"SSLCertVerificationError", "ClientConnectorCertificateError", "CertificateError"})


def _checked(statuses: Collection[int]) -> frozenset[int]:
    fine = isinstance(statuses, Collection) and all(
        isinstance(status, int) and not isinstance(status, bool) and 100 <= status <= 599 for status in statuses
    )
    if not fine:
        raise PipelineError(f"preset.http statuses is {statuses!r}; give status codes such as {{429, 503}}")
    return frozenset(int(status) for status in statuses)


def _upper(method: str) -> str:
    if not isinstance(method, str) or not method.isalpha():
        raise PipelineError(f"preset.http method is {method!r}; give the name of an HTTP method such as 'POST'")
    return method.upper()
