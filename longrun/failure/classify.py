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
import ssl
from collections.abc import Callable
from typing import TypeAlias

from longrun.capabilities import flag, longest_hint
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
    for part in chain(error):
        if isinstance(part, ssl.SSLCertVerificationError):
            return Failure(Category.PERMANENT)
    for part in chain(error):
        if isinstance(part, _TRANSPORT) or (isinstance(part, OSError) and part.errno in _NETWORK_ERRNOS):
            return Failure(Category.NODE)
    return None


def classify(error: BaseException, user: Classifier | None = None, capabilities: Classifier | None = None) -> Failure:
    """The failure that *error* is. A classifier that raises is logged and has no opinion."""
    found = [_classify_one(leaf, user, capabilities or _INFRA) for leaf in leaves(error)]
    if len(found) == 1 and not isinstance(error, BaseExceptionGroup):
        return found[0]
    gravest = min((failure.category for failure in found), key=_GRAVITY.index)
    hints = [failure.wait_hint for failure in found if failure.wait_hint is not None]
    return Failure(gravest, max(hints) if hints and gravest is not Category.PERMANENT else None)


def _classify_one(error: BaseException, user: Classifier | None, capabilities: Classifier) -> Failure:
    veto = permanent_veto(error)
    if veto is not None:
        return veto
    hint = longest_hint(chain(error))
    for step in (user, capabilities, transport):
        failure = None if step is None else _ask(step, error)
        if failure is not None:
            kept = failure.wait_hint if failure.wait_hint is not None else hint
            return Failure(failure.category, None if failure.category is Category.PERMANENT else kept)
    return Failure(Category.UNKNOWN, hint)


def _ask(step: Classifier, error: BaseException) -> Failure | None:
    try:
        return step(error)
    except Exception:  # noqa: BLE001 - a classifier is foreign code; it is logged, the failure is still judged
        _log.exception("classifier %r failed on %s and is skipped", step, type(error).__name__)
        return None


_TRANSPORT = (ConnectionError, TimeoutError, EOFError, socket.gaierror, socket.herror, ssl.SSLError)


_NETWORK_ERRNOS = frozenset(
    getattr(errno, name)
    for name in ("ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "EHOSTDOWN", "ENETRESET", "EADDRNOTAVAIL", "ENOTCONN")
    if hasattr(errno, name)
)
_INFRA = InfraClassifier()
