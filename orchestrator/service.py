"""Service: the skeleton that teams subclass.

class Github(orchestrator.Service):
    name = "github"
    settings = GithubSettings
    container = GithubContainer
"""

from typing import ClassVar

from orchestrator.container import Container
from orchestrator.contracts.errors import ContractError
from orchestrator.contracts.module import Module
from orchestrator.settings import Settings


class Service:
    """Names the settings and the container; override the three hooks for what has no better place.

    The framework loads *settings*, fills *container* with them, checks its wiring, opens its managed objects, runs both
    phases, and closes everything in reverse order.
    """

    name: ClassVar[str] = "service"
    settings: ClassVar[type[Settings]] = Settings
    container: ClassVar[type[Container]] = Container

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Refuse a skeleton that is filled in wrongly where it is written, not where it is run. ContractError."""
        super().__init_subclass__(**kwargs)
        for name, wanted, remedy in (
            ("settings", Settings, "subclass orchestrator.Settings and name the class, not an object"),
            ("container", Container, "subclass orchestrator.Container and name the class, not an object"),
        ):
            given: object = getattr(cls, name)
            if not (isinstance(given, type) and issubclass(given, wanted)):
                raise ContractError(f"{cls.__module__}.{cls.__qualname__}.{name} is {given!r}; {remedy}")
        if not (isinstance(cls.name, str) and cls.name and cls.name.isprintable()):
            raise ContractError(
                f"{cls.__module__}.{cls.__qualname__}.name is {cls.name!r}; give a short printable text"
            )

    def __init__(self, settings: Settings, modules: dict[str, Module[object]]) -> None:
        self.current_settings = settings
        self.modules = modules

    async def on_start(self) -> None:
        """Everything is open; phase 1 comes next. What it raises ends the start."""

    async def on_ready(self) -> None:
        """All preflights have passed; the workers come next."""

    async def on_stop(self) -> None:
        """Every unit has stopped; the managed objects are closed next. Called whenever ``on_start`` had returned."""
