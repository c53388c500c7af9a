"""Where a value stops being JSON: asked only when it cannot be stored, so that the error names the place."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

#: Levels of lists and objects inside each other. Every parser of the field takes that many.
DEEPEST = 100

_Parts = Callable[[object], object]


#: Characters of a path that are shown.
_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Fault:
    """At *path*, written as Python would reach it (``['lines'][3]``), *what* is wrong and the *remedy*."""

    path: str
    what: str
    remedy: str

    @property
    def place(self) -> str:
        """The path for a message: its beginning when it is long."""
        return self.path if len(self.path) <= _SHOWN else f"{self.path[:_SHOWN]}..."


def find(value: object, parts: _Parts) -> Fault | None:
    """The first fault of *value*; None when there is none to be seen. *parts* takes a value apart that JSON lacks."""
    waiting: list[tuple[object, str, tuple[int, ...]]] = [(value, "", ())]
    while waiting:
        item, path, above = waiting.pop()
        if not isinstance(item, dict | list | tuple):
            fault = _leaf(item, path)
            if fault is not None:
                return fault
            if item is None or isinstance(item, str | int | float):
                continue
            try:
                item = parts(item)
            except Exception as error:  # noqa: BLE001 - whatever a serializer of the caller's own raises
                return Fault(path, _said(error), _REMEDY)
            if not isinstance(item, dict | list | tuple):
                above = (*above, 0)
                if len(above) > DEEPEST:
                    return Fault(path, "it is nested too deeply", _FLATTER)
                waiting.append((item, path, above))
                continue
        if id(item) in above:
            return Fault(
                path, "it contains itself", "break the cycle, for example with an id in the place of the object"
            )
        if len(above) >= DEEPEST:
            return Fault(path, f"it is nested deeper than {DEEPEST} levels", _FLATTER)
        if isinstance(item, dict):
            fault = next(_bad_keys(item, path), None)
            if fault is not None:
                return fault
        inside = (*above, id(item))
        pairs = item.items() if isinstance(item, dict) else enumerate(item)
        waiting.extend((each, f"{path}[{key!r}]", inside) for key, each in reversed(list(pairs)))
    return None


_REMEDY = (
    "use dict, list, str, int, finite float, bool and None, dates and times, UUID, Decimal, an Enum, a dataclass or a "
    "pydantic model"
)
_FLATTER = "make it flatter, or store it elsewhere and put its address here"


def _leaf(item: object, path: str) -> Fault | None:
    if isinstance(item, float) and not math.isfinite(item):
        return Fault(path, f"{item!r} is not JSON compliant", "use None or a text in its place")
    if isinstance(item, str):
        return _text(item, path, "the text")
    if isinstance(item, int) and not isinstance(item, bool):
        try:
            str(int(item))
        except ValueError as error:
            return Fault(path, f"a whole number too large to be written ({error})", "store it as a text of hex digits")
    return None


def _text(text: str, path: str, what: str) -> Fault | None:
    if "\0" in text:
        return Fault(path, f"{what} {_short(text)} has a NUL character, which no database stores", "remove it")
    try:
        text.encode()
    except UnicodeEncodeError:
        return Fault(
            path,
            f"{what} {_short(text)} has lone surrogates, which are no characters",
            "decode it with errors='replace', or encode it with base64 when it is binary",
        )
    return None


def _bad_keys(item: dict[object, object], path: str) -> Iterator[Fault]:
    for key in item:
        if not isinstance(key, str):
            yield Fault(path, f"keys must be texts, and {_short(key)} is of type {type(key).__name__}", "use str(key)")
        elif (fault := _text(key, path, "the key")) is not None:
            yield fault


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _said(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
