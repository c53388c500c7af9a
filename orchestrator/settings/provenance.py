"""What is in force, and where each value came from."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.logs.redaction import MASK, Redactor
from orchestrator.settings.layer import MISSING, Keys, dotted, leaves, value_at
from orchestrator.settings.masking import secrets_in, without_credentials
from orchestrator.settings.sections import Settings, layers_of
from orchestrator.settings.shape import is_secret


@dataclass(frozen=True, slots=True)
class Effective:
    """One setting in force. *value* is plain data as JSON knows it; a secret is ``********``."""

    field: str
    value: object
    source: str


def effective(settings: Settings) -> list[Effective]:
    """Every setting in force, in the order of its class, with its source. Secrets are masked."""
    redactor = Redactor(secret_values(settings))
    return [
        Effective(redactor(dotted(keys)), _shown(settings, keys, value, redactor), _source(settings, keys))
        for keys, value in _leaves(settings)
    ]


def provenance(settings: Settings) -> dict[str, str]:
    """Field -> source: ``github.interval`` -> ``config/app.toml:12``; ``default`` when nothing set it."""
    return {dotted(keys): _source(settings, keys) for keys, _ in _leaves(settings)}


def secret_values(settings: Settings) -> frozenset[str]:
    """The texts that must never be written: give them to :func:`orchestrator.logs.configure`."""
    return frozenset(text for text in secrets_in(settings) if text)


def settings_file(settings: Settings) -> Path | None:
    """The TOML file the settings were read from, for paths that are meant relative to it."""
    return next((layer.file for layer in layers_of(settings) if layer.file), None)


def _leaves(settings: Settings) -> Iterator[tuple[Keys, object]]:
    yield from leaves(settings.model_dump(mode="json", by_alias=True, fallback=str))


def _source(settings: Settings, keys: Keys) -> str:
    for layer in layers_of(settings):
        if value_at(layer.values, keys) is not MISSING:
            return layer.origin(keys)
    return "default"


def _shown(settings: Settings, keys: Keys, value: object, redactor: Redactor) -> object:
    if value is None:
        return None
    if is_secret(type(settings), keys):
        return MASK
    return _masked(value, redactor)


def _masked(value: object, redactor: Redactor) -> object:
    if isinstance(value, str):
        return without_credentials(redactor(value))
    if isinstance(value, list):
        return [_masked(below, redactor) for below in value]
    return value
