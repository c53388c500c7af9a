"""preset.grpc: what passes by itself between a gRPC client and its server.

grpcio's errors have ``code()`` and ``trailing_metadata()``, grpclib's have ``status`` and ``metadata``.
"""

from collections.abc import Collection

from longrun.backoff import Backoff, exponential
from longrun.durations import Duration
from longrun.errors import PipelineError
from longrun.failure.baseline import HINT_CAP
from longrun.option import Option
from longrun.preset.hints import Hints
from longrun.preset.limit import limits
from longrun.preset.reading import attribute, called, header
from longrun.preset.transient import Transient
from longrun.registry import Registry
from longrun.rule import On, build

#: Refused, overloaded, or in conflict with another: not carried out, and may be by and by.
CODES = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED"})

_KNOWN = frozenset({
    "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED",
})  # fmt: skip
_PUSHBACK = "grpc-retry-pushback-ms"
_NETWORK = Registry("network").load_defaults()


def grpc(
    *,
    retries: int | None = 4,
    backoff: Backoff | None = None,
    timeout: Duration | None = 60.0,
    attempt_timeout: Duration | None = None,
    codes: Collection[object] = CODES,
    hint_cap: Duration = HINT_CAP,
) -> list[Option]:
    """Options for gRPC calls: statuses in *codes* (names, or members of a client's enumeration) are tried again.

    A server's ``grpc-retry-pushback-ms`` is waited for; a negative one, or one that is no whole number, forbids another
    try. Switch the client's own retries off, or the attempts multiply. Add ``"DEADLINE_EXCEEDED"`` for calls that may
    be carried out twice. *timeout* limits the whole call, *attempt_timeout* each attempt.

    Defaults: five calls at most and waits of +- 20 % as in gRPC's proposal A6, 0.2 s doubled up to 10 s, 60 s in all.
    """
    names = _checked(codes)

    def transient(error: Exception) -> bool:
        code = _code(error)
        if code is None:
            return _NETWORK.contains(error)
        return code in names and not _forbidden(error)

    curve = exponential(0.2, 10, jitter=0.2) if backoff is None else backoff
    matcher = Transient("transient gRPC statuses", transient)
    return [
        *limits(timeout, "preset.grpc timeout"),
        On(build(matcher, retries, curve, "grpc", hint_cap, preset=True, what="preset.grpc")),
        *limits(attempt_timeout, "preset.grpc attempt_timeout", below=timeout),
        Hints("gRPC", asked, None),
    ]


def asked(error: object) -> float | None:
    """Seconds that the server's pushback asks to wait; None without one, and for one that forbids another try."""
    pushback = _pushback(error)
    return pushback / 1000 if pushback is not None and pushback >= 0 else None


def _forbidden(error: object) -> bool:
    pushback = _pushback(error)
    return pushback is not None and pushback < 0


def _pushback(error: object) -> int | None:
    """Milliseconds; -1 for what cannot be read, as proposal A6 wants it."""
    for metadata in (called(error, "trailing_metadata"), attribute(error, "metadata")):
        text = header(metadata, _PUSHBACK)
        if text is not None:
            try:
                return int(text)
            except ValueError:
                return -1
    return None


def _code(error: object) -> str | None:
    for code in (called(error, "code"), attribute(error, "status")):
        name = _name(code)
        if name in _KNOWN:
            return name
    return None


def _name(code: object) -> str | None:
    name = code if isinstance(code, str) else attribute(code, "name")
    return name.upper() if isinstance(name, str) else None


def _checked(codes: Collection[object]) -> frozenset[str]:
    names = None if isinstance(codes, str) or not isinstance(codes, Collection) else [_name(code) for code in codes]
    if not names or not all(name in _KNOWN for name in names):
        raise PipelineError(
            f"preset.grpc codes is {codes!r}; give names of gRPC statuses such as {{'UNAVAILABLE', 'ABORTED'}}"
        )
    return frozenset(name for name in names if name is not None)
