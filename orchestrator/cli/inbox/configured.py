"""The databases of a configured service: its container is built, and nothing of it is opened."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from dependency_injector import providers

from orchestrator.cli.inbox.database import Place
from orchestrator.cli.locate import LocateError
from orchestrator.container import Container, Managed, WiringError, built, wiring_problems
from orchestrator.container.graph import Graph
from orchestrator.inbox.inbox import BATTERY, Inbox
from orchestrator.service import Service
from orchestrator.settings import Settings, load
from orchestrator.sql import StateDatabase


def places_of(service: type[Service], config: Path | None) -> Sequence[Place]:
    """The databases of every StateDatabase and every Inbox that the container of *service* makes.

    When it makes none, that of the setting ``[state] url``, if there is one. Raises what is wrong with the settings and
    the container.
    """
    settings = load(service.settings, config)
    container = service.container(settings=settings)
    problems = wiring_problems(container)
    if problems:
        raise WiringError(problems)
    built(container)
    batteries: dict[str, dict[str, Sequence[str]]] = {}
    with_inbox: set[str] = set()
    for made in _made(container):
        if isinstance(made, StateDatabase):
            batteries.setdefault(made.url, {}).update(made.migrations)
        elif isinstance(made, Inbox):
            url = _url(made, settings)
            batteries.setdefault(url, {}).pop(BATTERY, None)  # it knows its steps itself
            with_inbox.add(url)
    alone = None if batteries else _state_url(settings)
    if alone is not None:
        batteries[alone] = {}
        with_inbox.add(alone)
    return [Place(url, steps, has_inbox=url in with_inbox) for url, steps in batteries.items()]


def _made(container: Container) -> Iterator[object]:
    """What the service would open and what its modules need, and whatever is called ``inbox``."""
    graph = Graph(container)
    needed = {id(node.provider) for node in graph.needs(container.modules)}
    needed |= {id(node.provider) for node in graph.nodes if isinstance(node.provider, Managed) or node.path == "inbox"}
    for node in graph.nodes:
        if id(node.provider) in needed and isinstance(node.provider, providers.BaseSingleton):
            yield node.provider()


def _url(inbox: Inbox, settings: Settings) -> str:
    url = getattr(inbox.database, "url", None) or _state_url(settings)
    if not isinstance(url, str):
        raise LocateError(
            f"the inbox of the service is in a {type(inbox.database).__name__}, whose address is not known here; "
            "name it with --url"
        )
    return url


def _state_url(settings: Settings) -> str | None:
    url = getattr(getattr(settings, "state", None), "url", None)
    return url if isinstance(url, str) else None
