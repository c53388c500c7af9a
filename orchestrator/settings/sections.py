"""The skeleton that teams subclass, and the framework's own sections with their defaults.

A team's settings are sections beside ``[orchestrator]`` and ``[log]``::

    class GithubSection(Section):
        token: Secret
        interval: Interval = 60.0

    class GithubSettings(Settings):
        github: GithubSection

``ORCHESTRATOR_GITHUB__INTERVAL=30`` sets ``interval`` of ``[github]``.
"""

from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from orchestrator.settings.environment import DELIMITER, PREFIX, environment_layer
from orchestrator.settings.errors import SettingsError
from orchestrator.settings.layer import Layer
from orchestrator.settings.masking import redacted_repr
from orchestrator.settings.secret_files import secrets_layer
from orchestrator.settings.types import Seconds, SwitchOrSeconds

#: The layers of the load that is going on, strongest first; None when a settings class is called directly.
reading: ContextVar[tuple[Layer, ...] | None] = ContextVar("reading", default=None)


class Section(BaseModel):
    """One table of the settings: immutable, and an unknown key in it is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True)

    def __repr__(self) -> str:
        return redacted_repr(self, super().__repr__())

    def __str__(self) -> str:
        return repr(self)


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _path_as_text(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


class OrchestratorSection(Section):
    """``[orchestrator]``: how the two phases are run. Durations are seconds."""

    preflight_deadline: Seconds = Field(
        default=300.0,
        description="Phase 1 fails when no preflight has passed for so long. It restarts with each that passes.",
    )
    preflight_cap: Seconds | None = Field(
        default=None, description="Phase 1 fails after so long in all; unset: no such limit."
    )
    preflight_concurrency: Annotated[int, Field(ge=1)] = Field(default=100, description="Preflights that run at once.")
    settle: Seconds = Field(default=5.0, description="What attempts in flight get after the first permanent failure.")
    shutdown_timeout: Seconds = Field(default=30.0, description="How long a drain may take before runs are abandoned.")
    on_preflight_failure: Literal["stop", "quarantine"] = Field(
        default="stop", description="stop: startup fails. quarantine: the tenant is left out and joins when it passes."
    )
    on_worker_failure: Literal["quarantine", "stop"] = Field(
        default="quarantine",
        description="quarantine: a permanent failure stops that tenant only. stop: it ends the service.",
    )
    max_running: Annotated[int, Field(ge=1)] = Field(default=1000, description="Worker runs that go on at once.")
    max_running_per_tenant: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Of which so many of one tenant; unset: no such limit."
    )
    state: Annotated[str, BeforeValidator(_path_as_text)] | None = Field(
        default=None,
        description="For checkpoints and the waits of failures, kept over restarts: a SQLite file, or the URL of a "
        "database, postgresql://...; unset: in memory.",
    )
    splay: SwitchOrSeconds = Field(
        default=True,
        description="Spread first runs: true over ten seconds at most, false not at all, a number over so long.",
    )


class InboxSection(Section):
    """``[inbox]`` of a service that has one: how intents are claimed. Durations are seconds."""

    lease: Annotated[Seconds, Field(gt=0)] = Field(
        default=30.0, description="A worker that is silent for so long loses its runs to another."
    )
    poll_interval: Annotated[Seconds, Field(gt=0)] = Field(
        default=2.0, description="Between two looks when nothing is heard of; news are noticed sooner."
    )
    concurrency: Annotated[int, Field(ge=1)] = Field(default=10, description="Handlers at work at once.")


class LogSection(Section):
    """``[log]``: what is written to standard error, and how."""

    level: Annotated[Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_lower)] = Field(
        default="info", description="The least severe level that is written."
    )
    format: Literal["auto", "console", "json"] = Field(
        default="auto", description="auto: console on a terminal, one JSON object per line elsewhere."
    )


class Settings(BaseSettings):
    """Subclass it with your own sections. Read it with :func:`orchestrator.settings.load`.

    Strongest first: arguments, environment ``ORCHESTRATOR_<SECTION>__<KEY>``, secret files in
    ``ORCHESTRATOR_SECRETS_DIR``, the TOML file. Called directly, it reads the first three.
    """

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
    )

    orchestrator: OrchestratorSection = OrchestratorSection()
    log: LogSection = LogSection()

    _layers: tuple[Layer, ...] = PrivateAttr(default=())

    def __repr__(self) -> str:
        return redacted_repr(self, super().__repr__())

    def __str__(self) -> str:
        return repr(self)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - replaced: it knows no provenance
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - no dotenv file: one place for each value
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - replaced: it knows no provenance
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the layers of the load that is going on."""
        layers = reading.get()
        if layers is None:
            layers = (environment_layer(settings_cls), secrets_layer(settings_cls))
            problems = [problem for layer in layers for problem in layer.problems]
            if problems:
                raise SettingsError(problems)
        return (init_settings, *(_LayerSource(settings_cls, layer) for layer in layers))


def layers_of(settings: Settings) -> tuple[Layer, ...]:
    """What each source said, strongest first; empty when the class was called directly."""
    return settings._layers


def keep_layers(settings: Settings, layers: tuple[Layer, ...]) -> None:
    """Remember where the values came from. No method: a team's section may have any name."""
    settings._layers = layers


class _LayerSource(PydanticBaseSettingsSource):
    """Hands one layer to pydantic-settings, which merges it."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self._layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[object, str, bool]:  # noqa: ARG002 - as above
        return self._layer.values.get(field_name), field_name, False

    def __call__(self) -> dict[str, object]:
        return self._layer.values
