"""Service: the skeleton that teams subclass.

class Github(orchestrator.Service):
    name = "github"
    settings = GithubSettings
    container = GithubContainer
"""

from typing import ClassVar

from orchestrator.container import Container
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

    def __init__(self, settings: Settings, modules: dict[str, Module[object]]) -> None:
        self.current_settings = settings
        self.modules = modules

    async def on_start(self) -> None:
        """Everything is open; phase 1 comes next. What it raises ends the start."""

    async def on_ready(self) -> None:
        """All preflights have passed; the workers come next."""

    async def on_stop(self) -> None:
        """Every unit has stopped; the managed objects are closed next. Called whenever ``on_start`` had returned."""
