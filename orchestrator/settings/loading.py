"""Reading settings from everywhere, with one error that lists all that is wrong."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from orchestrator.logs.redaction import Redactor
from orchestrator.settings.environment import environment_layer
from orchestrator.settings.errors import Problem, SettingsError
from orchestrator.settings.explanation import bools_as_numbers, explain, unknown_keys
from orchestrator.settings.layer import Layer
from orchestrator.settings.masking import secrets_in_layer
from orchestrator.settings.secret_files import secrets_layer
from orchestrator.settings.sections import Settings, keep_layers, reading
from orchestrator.settings.toml_file import toml_layer

S = TypeVar("S", bound=Settings)


def load(
    settings_type: type[S],
    path: str | Path | None = None,
    *,
    values: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
) -> S:
    """Read *settings_type* from *values*, the environment, secret files and the TOML file at *path*, strongest first.

    *environment* is the process's own by default. Raises :class:`SettingsError`, which lists every problem at once,
    each with its field, its source, what was given (secrets masked) and what is allowed.
    """
    layers = [
        Layer("the code", copy.deepcopy(dict(values or {}))),
        environment_layer(settings_type, environment),
        secrets_layer(settings_type, environment),
    ]
    if path is not None:
        layers.append(toml_layer(Path(path)))
    redactor = Redactor(text for layer in layers for text in secrets_in_layer(settings_type, layer))
    problems = [problem for layer in layers for problem in layer.problems]
    unreadable = path is not None and bool(layers[-1].problems)
    for layer in layers:
        problems.extend(unknown_keys(settings_type, layer))
    settings: S | None = None
    token = reading.set(tuple(layers))
    try:
        settings = settings_type()
    except ValidationError as error:
        # Without its file, nearly everything would be reported as missing.
        found = list(explain(error, settings_type, layers, redactor, ignore_missing=unreadable))
    else:
        found = []
    finally:
        reading.reset(token)
    for layer in layers:
        found.extend(bools_as_numbers(settings_type, layer))
    problems.extend(_first_of_each_field(problems, found))
    if settings is not None and not problems:
        keep_layers(settings, tuple(layers))
        return settings
    raise SettingsError([_clean(problem, redactor) for problem in problems])


def _clean(problem: Problem, redactor: Redactor) -> Problem:
    return Problem(problem.source, redactor(problem.field), redactor(problem.text))


def _first_of_each_field(told: list[Problem], found: list[Problem]) -> list[Problem]:
    """Those of *found* that say something new: an empty variable need not be called missing too."""
    fields = {problem.field for problem in told if problem.field}
    fresh = []
    for problem in found:
        together = not problem.field and problem.text.split(" ", 1)[0] in fields  # what they are together names a field
        if problem.field not in fields and not together:
            fresh.append(problem)
        fields |= {problem.field} - {""}
    return fresh
