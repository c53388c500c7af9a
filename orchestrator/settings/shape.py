"""The shape of a settings class: which keys exist, which are secret, which name was probably meant."""

import dataclasses
import difflib
import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, TypeAlias, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel, RootModel, SecretBytes, SecretStr
from pydantic import Secret as GenericSecret
from pydantic.fields import FieldInfo

from orchestrator.settings.layer import Key, Keys

#: What may stand at one place: the members of its union.
Shapes: TypeAlias = tuple[object, ...]

_TELLTALE = re.compile(
    r"(?:^|_)(?:tokens?|password|passwd|passphrase|secrets?|api_?key|access_?key|private_?key|credentials?)$",
    re.IGNORECASE,
)
_DEEPEST = 8


def shapes(annotation: object) -> Shapes:
    """The plain members of *annotation*: unions opened, metadata and aliases taken off."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return shapes(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return tuple(shape for member in get_args(annotation) for shape in shapes(member))
    alias: object = getattr(annotation, "__value__", None)  # `type X = ...`
    if alias is not None:
        return shapes(alias)
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        return shapes(annotation.model_fields["root"].annotation)
    return (annotation,)


def fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The keys of *model* as a file spells them."""
    return {_spelled(name, info): info for name, info in model.model_fields.items()}


def _spelled(name: str, info: FieldInfo) -> str:
    return info.validation_alias if isinstance(info.validation_alias, str) else name


def known(places: Shapes) -> list[str] | None:
    """The keys that may stand here; None when any may, or when it is no table at all."""
    models = [shape for shape in places if _is_model(shape)]
    if not models or any(_is_mapping(shape) for shape in places):
        return None
    return [key for model in models for key in fields(model)]


def required(places: Shapes) -> list[str]:
    """Those of the known keys that have no default."""
    models = [shape for shape in places if _is_model(shape)]
    return [key for model in models for key, info in fields(model).items() if info.is_required()]


def step(places: Shapes, key: Key) -> Shapes:
    """What may stand at *key* of here; empty when nothing is said about it."""
    found: list[object] = []
    for shape in places:
        arguments = get_args(shape)
        if _is_model(shape):
            info = fields(shape).get(str(key)) or shape.model_fields.get(str(key))
            if info is not None:
                found.extend(shapes(info.annotation))
        elif _is_mapping(shape) and len(arguments) == 2:
            found.extend(shapes(arguments[1]))
        elif _is_array(shape) and isinstance(key, int) and arguments:
            variadic = len(arguments) == 1 or arguments[-1] is Ellipsis
            if variadic or key < len(arguments):
                found.extend(shapes(arguments[0 if variadic else key]))
    return tuple(found)


def at(model: type[BaseModel], keys: Keys) -> Shapes:
    """What may stand at *keys* of *model*."""
    places: Shapes = (model,)
    for key in keys:
        places = step(places, key)
    return places


def is_secret(model: type[BaseModel], keys: Keys) -> bool:
    """Whether the value at *keys* must never be printed: by its type, one around it, or a name that gives it away."""
    places: Shapes = (model,)
    for key in keys:
        places = step(places, key)
        if any(_is_secret_type(shape) for shape in places):
            return True
    names = [key for key in keys if isinstance(key, str)]
    telltale = bool(names) and _TELLTALE.search(names[-1]) is not None and not _only_numbers(places)
    return telltale or any(_holds_secret(shape, 0) for shape in places)


def unknown(value: object, places: Shapes, keys: Keys = ()) -> Iterator[Keys]:
    """The paths of keys in *value* that the shape does not have."""
    if isinstance(value, Mapping):
        names = known(places)
        for key, below in value.items():
            if names is not None and key not in names:
                yield (*keys, key)
            else:
                yield from unknown(below, step(places, key), (*keys, key))
    elif isinstance(value, list | tuple):
        for index, below in enumerate(value):
            yield from unknown(below, step(places, index), (*keys, index))


def bools_as_numbers(value: object, places: Shapes, keys: Keys = ()) -> Iterator[tuple[Keys, bool]]:
    """The bools in *value* that stand where only a number may: Python would take them for 0 or 1."""
    if isinstance(value, bool) and {int, float} & set(places) and bool not in places:
        yield keys, value
    below = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, inner in below:
        yield from bools_as_numbers(inner, step(places, key), (*keys, key))


def is_structured(shape: object) -> bool:
    """Whether *shape* is a table or an array, not a single value."""
    return _is_model(shape) or _is_mapping(shape) or _is_array(shape) or dataclasses.is_dataclass(shape)


def _only_numbers(places: Shapes) -> bool:
    return bool(places) and set(places) <= {int, float, bool, types.NoneType}


def paths(model: type[BaseModel], depth: int = 0) -> Iterator[tuple[str, ...]]:
    """Every path of the model that has a name, sections before what is in them."""
    if depth == _DEEPEST:
        return
    for name, info in fields(model).items():
        yield (name,)
        for shape in shapes(info.annotation):
            if _is_model(shape):
                yield from ((name, *rest) for rest in paths(shape, depth + 1))


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of *names* that was probably meant by *name*."""
    by_folded = {known_name.lower().replace("-", "_"): known_name for known_name in names}
    close = difflib.get_close_matches(name.lower().replace("-", "_"), by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


def _is_model(shape: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(shape, type) and issubclass(shape, BaseModel)


def _is_mapping(shape: object) -> bool:
    origin = get_origin(shape) or shape
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _is_array(shape: object) -> bool:
    origin = get_origin(shape) or shape
    plain = (str, bytes)
    return isinstance(origin, type) and issubclass(origin, Sequence | set | frozenset) and not issubclass(origin, plain)


def _is_secret_type(shape: object) -> bool:
    origin = get_origin(shape) or shape
    return isinstance(origin, type) and issubclass(origin, SecretStr | SecretBytes | GenericSecret)


def _holds_secret(shape: object, depth: int) -> bool:
    if _is_secret_type(shape):
        return True
    if depth == _DEEPEST:
        return False
    if _is_model(shape):
        below: Iterable[object] = (info.annotation for info in shape.model_fields.values())
    else:
        below = get_args(shape)
    return any(_holds_secret(member, depth + 1) for annotation in below for member in shapes(annotation))
