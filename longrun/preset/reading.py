"""Reading what libraries that are not imported give: attributes that may be missing, raise, or be methods."""

from collections.abc import Iterable, Iterator
from typing import cast

_ABSENT = object()


def attribute(subject: object, *path: str) -> object:
    """``subject.a.b``; None when any of it is missing, is None, or raises (httpx: a request that was never set)."""
    for name in path:
        try:
            subject = getattr(subject, name, None)
        except Exception:  # noqa: BLE001 - a property of foreign code; what it cannot say is unknown
            return None
        if subject is None:
            return None
    return subject


def called(subject: object, name: str) -> object:
    """``subject.name()``, or ``subject.name`` when it is no method; None when it is missing or raises."""
    value = attribute(subject, name)
    if not callable(value):
        return value
    try:
        return cast("object", value())
    except Exception:  # noqa: BLE001 - as above
        return None


def pairs(headers: object) -> Iterator[tuple[str, str]]:
    """Headers or metadata as pairs with lower-case names: a mapping of any kind, or an iterable of pairs."""
    listed = called(headers, "items") if hasattr(headers, "items") else headers
    if not isinstance(listed, Iterable):
        return
    for pair in listed:
        if isinstance(pair, tuple | list) and len(pair) >= 2:
            yield _text(pair[0]).lower(), _text(pair[1])


def header(headers: object, name: str) -> str | None:
    """The first header *name* (lower case), stripped; None without one."""
    return next((value.strip() for key, value in pairs(headers) if key == name), None)


def lineage(error: object) -> Iterator[tuple[str, str]]:
    """``(top-level package, class name)`` of each class that *error* is an instance of, nearest first."""
    for kind in type(error).__mro__:
        yield kind.__module__.partition(".")[0], kind.__name__


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
