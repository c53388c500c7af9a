"""A layer: the values that one source gave, and where exactly each was said."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from orchestrator.settings.errors import Problem

#: A key of a table, or an index of an array.
Key: TypeAlias = str | int
Keys: TypeAlias = tuple[Key, ...]

MISSING = object()


@dataclass(slots=True)
class Layer:
    """*values* nest as the settings do; *origins* says of a path where it stands; *name* is the layer as a whole.

    *file*: the settings file, when this is its layer.
    """

    name: str
    values: dict[str, object] = field(default_factory=dict)
    origins: dict[Keys, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    file: Path | None = None

    def put(self, keys: tuple[str, ...], value: object, origin: str) -> None:
        """Set the value at *keys*; a deeper one wins over what a shallower one said."""
        table = self.values
        for key in keys[:-1]:
            below = table.get(key)
            if not isinstance(below, dict):
                below = {}
                table[key] = below
            table = below
        table[keys[-1]] = value
        self.origins[keys] = origin

    def remove(self, keys: Keys) -> None:
        """Forget the value at *keys*, which stands in tables and arrays."""
        place = value_at(self.values, keys[:-1])
        if isinstance(place, dict):
            place.pop(keys[-1], None)

    def origin(self, keys: Keys) -> str:
        """Where *keys*, or the nearest thing around it, was said."""
        for end in range(len(keys), 0, -1):
            if keys[:end] in self.origins:
                return self.origins[keys[:end]]
        return self.name


def value_at(values: object, keys: Keys) -> object:
    """What stands at *keys*, or MISSING."""
    for key in keys:
        if isinstance(values, Mapping):
            values = values.get(key, MISSING)
        elif isinstance(values, list | tuple) and isinstance(key, int) and 0 <= key < len(values):
            values = values[key]
        else:
            return MISSING
    return values


def leaves(values: object, keys: Keys = ()) -> Iterator[tuple[Keys, object]]:
    """Every single value with its path. An empty table, or an array of plain values, is a single value."""
    if isinstance(values, Mapping) and (values or not keys):
        for key, value in values.items():
            yield from leaves(value, (*keys, str(key)))
    elif isinstance(values, list | tuple) and any(isinstance(value, Mapping) for value in values):
        for index, value in enumerate(values):
            yield from leaves(value, (*keys, index))
    else:
        yield keys, values


def dotted(keys: Keys) -> str:
    """``('github', 'repositories', 0, 'name')`` as ``github.repositories[0].name``."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text
