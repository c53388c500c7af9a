"""From an error to a :class:`Failure`: five steps in a fixed order, each a function of its own.

1. permanent veto   ``permanent = True`` anywhere on the chain beats every hint
2. user classifier  what the application knows better
3. capabilities     ``retry_after``, ``service_pressure``, ``retryable`` on the error or what is behind it
4. transport        connections, DNS, time-outs, TLS: the way there
5. UNKNOWN

A wait hint found at any level of the chain is kept by whichever step speaks. Of an exception group every leaf is
classified; the gravest category stands (PERMANENT, UNKNOWN, SERVICE, NODE) with the longest hint.
"""

import errno
import logging
import socket
import sys
from collections.abc import Callable, Iterable
from typing import TypeAlias

from longrun.capabilities import flag, longest_hint, seconds_of
from longrun.chain import chain, leaves
from longrun.failure.category import Category, Failure

_log = logging.getLogger("longrun.failure")

#: ``(exc) -> Failure | None``; None is "no opinion".
Classifier: TypeAlias = Callable[[BaseException], Failure | None]

_GRAVITY = (Category.PERMANENT, Category.UNKNOWN, Category.SERVICE, Category.NODE)


def permanent_veto(error: BaseException) -> Failure | None:
    """PERMANENT when the error, or anything behind it, says ``permanent = True``."""
    return Failure(Category.PERMANENT) if any(flag(part, "permanent") for part in chain(error)) else None


class InfraClassifier:
    """The capability step: what errors say of themselves by plain attributes, nearest level first."""

    def __call__(self, error: BaseException) -> Failure | None:
        """SERVICE for a wait hint, for ``service_pressure`` and for ``retryable``; else no opinion."""
        parts = tuple(chain(error))
        hint = longest_hint(parts)
        if hint is not None or any(flag(part, "service_pressure") or flag(part, "retryable") for part in parts):
            return Failure(Category.SERVICE, hint)
        return None

    def __repr__(self) -> str:
        return "InfraClassifier()"


def transport(error: BaseException) -> Failure | None:
    """NODE for connection, DNS, end-of-file, time-out and TLS handshake errors; a refused certificate is PERMANENT."""
    # An error of TLS exists only where ssl is imported already; importing it here would cost every process its price.
    tls = sys.modules.get("ssl")
    if tls is not None and any(isinstance(part, tls.SSLCertVerificationError) for part in chain(error)):
        return Failure(Category.PERMANENT)
    for part in chain(error):
        if isinstance(part, _TRANSPORT) or (tls is not None and isinstance(part, tls.SSLError)):
            return Failure(Category.NODE)
        if isinstance(part, OSError) and part.errno in NETWORK_ERRNOS:
            return Failure(Category.NODE)
    return None


def classify(error: BaseException, user: Classifier | None = None, capabilities: Classifier | None = None) -> Failure:
    """The failure that *error* is. A classifier that raises is logged and has no opinion."""
    steps = (user, capabilities or _INFRA, transport)
    if not isinstance(error, BaseExceptionGroup):
        return _classify_one(error, steps)
    found = [_classify_one(leaf, steps) for leaf in leaves(error)]
    gravest = min((failure.category for failure in found), key=_GRAVITY.index)
    if gravest is Category.PERMANENT or permanent_veto(error) is not None:
        return Failure(Category.PERMANENT)
    hints = [hint for hint in (longest_hint(chain(error)), *(each.wait_hint for each in found)) if hint is not None]
    return Failure(gravest, max(hints, default=None))


def _classify_one(error: BaseException, steps: Iterable[Classifier | None]) -> Failure:
    veto = permanent_veto(error)
    if veto is not None:
        return veto
    hint = longest_hint(chain(error))
    for step in steps:
        failure = None if step is None else _ask(step, error)
        if failure is not None:
            own = seconds_of(failure.wait_hint) or None  # a reset time in the past is no wait
            kept = own if own is not None else hint
            return Failure(failure.category, None if failure.category is Category.PERMANENT else kept)
    return Failure(Category.UNKNOWN, hint)


def _ask(step: Classifier, error: BaseException) -> Failure | None:
    try:
        failure = step(error)
        if failure is not None and not (isinstance(failure, Failure) and isinstance(failure.category, Category)):
            raise TypeError(f"it gave {failure!r}; it must give a Failure with a Category, or None")
        return failure
    except Exception:  # noqa: BLE001 - a classifier is foreign code; it is logged, the failure is still judged
        _log.exception("classifier %r failed on %s and is skipped", step, type(error).__name__)
        return None


_TRANSPORT = (ConnectionError, TimeoutError, EOFError, socket.gaierror, socket.herror)


NETWORK_ERRNOS = frozenset(
    getattr(errno, name)
    for name in ("ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "EHOSTDOWN", "ENETRESET", "EADDRNOTAVAIL", "ENOTCONN")
    if hasattr(errno, name)
)
_INFRA = InfraClassifier()
