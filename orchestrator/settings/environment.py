"""Settings from the environment: ``ORCHESTRATOR_<SECTION>__<KEY>``.

Arrays and tables are given as JSON; ``null`` unsets a setting that may be unset.
"""

import json
import os
import re
from collections.abc import Mapping
from types import NoneType

from pydantic import BaseModel

from orchestrator.logs.text import bounded
from orchestrator.settings.errors import Problem
from orchestrator.settings.layer import Layer, dotted
from orchestrator.settings.masking import without_credentials
from orchestrator.settings.shape import Shapes, at, is_secret, is_structured, known, nearest, paths, shapes, step

PREFIX = "ORCHESTRATOR_"
DELIMITER = "__"

#: Variables of the command line itself: no settings.
RESERVED = frozenset({"ORCHESTRATOR_SERVICE", "ORCHESTRATOR_CONFIG", "ORCHESTRATOR_SECRETS_DIR"})

# Kubernetes describes every Service of the namespace to every container ("Docker links" compatible variables). A
# Service called "orchestrator" or "orchestrator-..." lands under our prefix, and nobody can do anything about it.
_KUBERNETES_NAME = re.compile(r"ORCHESTRATOR_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?)")
_KUBERNETES_PORT = re.compile(r"ORCHESTRATOR_(?:[A-Z0-9_]+_)?PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?")


def variable(keys: tuple[str, ...]) -> str:
    """The environment variable that sets *keys*."""
    return PREFIX + DELIMITER.join(keys).upper()


def environment_layer(model: type[BaseModel], environment: Mapping[str, str] | None = None) -> Layer:
    """What *environment* (the process's own by default) sets; unknown, empty and unreadable variables are problems."""
    layer = Layer("the environment")
    variables = os.environ if environment is None else environment
    # Shallow names first, so that a section given as JSON can be refined key by key.
    for name in sorted(variables, key=lambda each: (each.count(DELIMITER), each)):
        if not name.startswith(PREFIX) or name in RESERVED or _from_kubernetes(name, variables[name]):
            continue
        keys = resolve(model, name.removeprefix(PREFIX))
        if keys is None or variable(keys) != name:
            layer.problems.append(no_such_setting(f"environment {name}", _meant(model, name)))
        else:
            add_text(layer, model, keys, variables[name], f"environment {name}")
    return layer


def _meant(model: type[BaseModel], name: str) -> str | None:
    """The variable that was probably meant; a key without its section is a frequent slip."""
    rest = name.removeprefix(PREFIX)
    names = [each.removeprefix(PREFIX) for each in (*sorted(RESERVED), *map(variable, paths(model)))]
    key_alone = next((each for each in names if each.endswith(DELIMITER + rest.upper())), None)
    found = key_alone or nearest(rest, names)
    return PREFIX + found if found else None


def resolve(model: type[BaseModel], name: str) -> tuple[str, ...] | None:
    """The path that *name*, ``SECTION__KEY`` in any case, stands for; None when there is no such setting."""
    places: Shapes = shapes(model)
    keys: list[str] = []
    for part in name.split(DELIMITER):
        names = known(places)
        key = part.lower()
        if names is not None:
            key = next((each for each in names if each.lower() == key), "")
        places = step(places, key)
        if not key or not places:
            return None
        keys.append(key)
    return tuple(keys)


def no_such_setting(source: str, meant: str | None) -> Problem:
    """The problem of a name that nothing reads. Its value is not shown: it may be a secret with a typing error."""
    hint = f"did you mean {meant}?" if meant else "remove it; `config schema` lists what there is"
    return Problem(source, "", f"there is no such setting; {hint}")


def add_text(layer: Layer, model: type[BaseModel], keys: tuple[str, ...], text: str, origin: str) -> None:
    """Put one text at *keys* of *layer*: as it stands for a single value, as JSON for an array or a table."""
    field, places = dotted(keys), at(model, keys)
    if not text.strip():
        layer.problems.append(Problem(origin, field, "is empty; give a value, or unset it to use the default"))
    elif text.strip() == "null" and NoneType in places:
        layer.put(keys, None, origin)
    elif not _takes_json(places, text):
        layer.put(keys, text if is_secret(model, keys) else text.strip(), origin)
    else:
        try:
            layer.put(keys, json.loads(text), origin)
        except (ValueError, RecursionError):
            shown = "the value" if is_secret(model, keys) else ascii(bounded(without_credentials(text), 60))
            example = '{"key": "value"}' if known(places) else '["one", "two"]'
            layer.problems.append(Problem(origin, field, f"is not JSON: {shown}; write it as {example}"))


def _takes_json(places: Shapes, text: str) -> bool:
    structured = [shape for shape in places if is_structured(shape)]
    scalars = [shape for shape in places if not is_structured(shape) and shape is not NoneType]
    return bool(structured) and (not scalars or text.lstrip()[:1] in ("[", "{"))


def _from_kubernetes(name: str, value: str) -> bool:
    if DELIMITER in name:
        return False
    address = value.startswith(("tcp://", "udp://", "sctp://"))
    return _KUBERNETES_NAME.fullmatch(name) is not None or (
        _KUBERNETES_PORT.fullmatch(name) is not None and (address or "_PORT_" in name)
    )
