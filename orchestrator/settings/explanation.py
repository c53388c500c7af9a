"""From what the validation says to what a person can act on."""

from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.logs.redaction import Redactor
from orchestrator.settings import shape
from orchestrator.settings.environment import variable
from orchestrator.settings.errors import Problem
from orchestrator.settings.layer import MISSING, Key, Keys, Layer, dotted, value_at
from orchestrator.settings.masking import shown_value
from orchestrator.settings.shape import at, known, nearest, paths, required, unknown

_TABLES = ("model_type", "model_attributes_type", "dict_type", "dataclass_type", "mapping_type")
_ARRAYS = ("list_type", "tuple_type", "set_type", "frozen_set_type", "iterable_type")
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")


def unknown_keys(model: type[BaseModel], layer: Layer) -> list[Problem]:
    """Take the keys that the settings do not have out of *layer*, and name each with what was probably meant.

    Their values are not shown: what is called ``tokn`` may be a secret.
    """
    problems = []
    for keys in list(unknown(layer.values, (model,))):
        siblings = known(at(model, keys[:-1])) or []
        close = nearest(str(keys[-1]), siblings)
        meant = dotted((*keys[:-1], close)) if close else _elsewhere(model, keys[-1])
        allowed = f"did you mean {meant}?" if meant else f"allowed here: {', '.join(siblings)}"
        problems.append(Problem(layer.origin(keys), dotted(keys), f"is not a setting; {allowed}"))
        layer.remove(keys)
    return problems


def bools_as_numbers(model: type[BaseModel], layer: Layer) -> list[Problem]:
    """A bool where a number belongs is refused: Python would quietly take it for 0 or 1."""
    return [
        Problem(layer.origin(keys), dotted(keys), f"is {str(value).lower()}; it must be a number")
        for keys, value in shape.bools_as_numbers(layer.values, (model,))
    ]


def explain(
    error: ValidationError,
    model: type[BaseModel],
    layers: Sequence[Layer],
    redactor: Redactor,
    *,
    ignore_missing: bool = False,
) -> Iterator[Problem]:
    """One problem for each field, however many members of a union refused its value."""
    found: dict[Keys, tuple[object, list[str]]] = {}
    for details in error.errors(include_url=False):
        keys, layer = _place(details["loc"], layers, missing=details["type"] == "missing")
        if details["type"] == "missing":
            if not ignore_missing:
                yield _missing(keys, model, layers)
            continue
        value = value_at(layer.values, keys) if layer else details["input"]
        wishes = found.setdefault(keys, (value, []))[1]
        wish = _wish(details)
        if wish not in wishes:
            wishes.append(wish)
    for keys, (value, wishes) in found.items():
        holder = _holder(layers, keys)
        source = holder.origin(keys) if holder else "default" if keys else ""  # without keys: of the settings together
        given = "" if not keys or value is MISSING else f"is {shown_value(model, keys, value, redactor)}; "
        yield Problem(source, dotted(keys), given + " or ".join(wishes))


def _elsewhere(model: type[BaseModel], key: Key) -> str | None:
    """A setting of that very name in another section."""
    return next((dotted(path) for path in paths(model) if path[-1] == key), None)


def _missing(keys: Keys, model: type[BaseModel], layers: Sequence[Layer]) -> Problem:
    """Nothing says it, so the source is where it should be said."""
    file = next((layer.name for layer in layers if layer.file), None)
    around = _holder(layers, keys[:-1])
    source = around.origin(keys[:-1]) if around else file or ""
    places = at(model, keys)
    within = required(places) or known(places)
    if within:
        example = f"[{dotted(keys)}] with {', '.join(within)}"
        return Problem(source, dotted(keys), f"is required and not set; add the section {example}")
    ways = [f"the file {file}" if file else "a settings file"]
    if all(isinstance(key, str) for key in keys):
        ways.append(f"the environment as {variable(tuple(str(key) for key in keys))}")
    return Problem(source, dotted(keys), f"is required and not set; set it in {' or in '.join(ways)}")


def _place(location: tuple[Key, ...], layers: Sequence[Layer], *, missing: bool) -> tuple[Keys, Layer | None]:
    """The path in the values: a location also names the members of unions, which stand in no file."""
    if location and _holder(layers, location[:1]) is None:
        return location, None  # missing as a whole, or a default was refused
    keys: Keys = ()
    for index, key in enumerate(location):
        if _holder(layers, (*keys, key)) or (missing and index == len(location) - 1):
            keys = (*keys, key)
    return keys, _holder(layers, keys)


def _holder(layers: Sequence[Layer], keys: Keys) -> Layer | None:
    return next((layer for layer in layers if value_at(layer.values, keys) is not MISSING), None) if keys else None


def _wish(details: ErrorDetails) -> str:
    if details["type"] in _UNKNOWN:
        return "it is not a setting"
    if details["type"] in _TABLES:
        return "it must be a table"
    if details["type"] in _ARRAYS:
        return "it must be an array"
    wish = details["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    wish = wish.replace("Input should be", "it must be")
    if details["type"] == "literal_error" and isinstance(details["input"], str):
        context = details.get("ctx", {})
        close = nearest(
            details["input"], str(context.get("expected", "")).replace(" or ", ", ").replace("'", "").split(", ")
        )
        wish += f"; did you mean '{close}'?" if close else ""
    return wish
