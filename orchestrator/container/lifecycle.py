"""Building the objects of a container, and holding the managed ones open."""

import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, TypeAlias

from dependency_injector import containers, providers

from orchestrator.container.errors import BuildError, ManagedError
from orchestrator.container.graph import Graph, Node, arguments
from orchestrator.container.providers import Managed
from orchestrator.contracts.module import Module

#: The registered modules by name; each has its own tenant type.
Modules: TypeAlias = dict[str, Module[Any]]


def built(container: containers.Container) -> Modules:
    """The registered modules and everything that they need, built and not opened. BuildError names what cannot be."""
    return _build(container, Graph(container))


@asynccontextmanager
async def opened(container: containers.Container) -> AsyncIterator[Modules]:
    """Every object of *container* built, then every Managed one entered; closed in reverse on the way out.

    Nothing is opened unless everything could be built. Managed objects are entered behind what they depend on, in the
    calling task, on any event loop. An overriding plain object is neither opened nor closed: whoever made it does
    that. Raises BuildError, ManagedError, and whatever an object raises, with a note that names its provider.
    """
    graph = Graph(container)
    modules = _build(container, graph)
    managed = [node for node in graph.nodes if isinstance(node.provider, Managed) and not node.provider.overridden]
    for node in managed:
        _made(node)
    async with AsyncExitStack() as stack:
        for node in managed:
            await _enter(node, stack)
        yield modules


async def _enter(node: Node, stack: AsyncExitStack) -> None:
    resource = node.provider()
    if not isinstance(resource, AbstractAsyncContextManager):
        raise ManagedError(
            f"{node.name} is Managed, but it made a {type(resource).__qualname__}, which is no async context manager; "
            "give it __aenter__ and __aexit__, or use providers.Singleton"
        )
    try:
        entered = await stack.enter_async_context(resource)
    except Exception as error:
        error.add_note(f"while opening {node.name}")
        raise
    if entered is not resource:
        raise ManagedError(
            f"{node.name} is Managed, but its __aenter__ returned {type(entered).__qualname__} instead of the object; "
            "what depends on it holds the object, so return self"
        )


def _build(container: containers.Container, graph: Graph) -> Modules:
    registered = container.providers.get("modules")
    if registered is None:
        raise BuildError("the container has no 'modules'; subclass orchestrator.Container")
    for node in graph.needs(registered):
        if isinstance(node.provider, providers.BaseSingleton) and not node.provider.overridden:
            _made(node)
    modules = _made(Node("modules", registered))
    if not isinstance(modules, Mapping):
        raise BuildError(f"'modules' made a {type(modules).__qualname__}; make it providers.Dict(name=...)")
    return dict(modules)


def _made(node: Node) -> object:
    try:
        made: object = node.provider()
    except BuildError:
        raise
    except Exception as error:
        label, cause = _culprit(node, error)
        raise BuildError(f"{node.name} cannot be built: {label}{_told(cause)}") from error
    return made


def _culprit(node: Node, error: Exception) -> tuple[str, Exception]:
    """The argument that cannot be had, when that is why, and the error it raises."""
    for label, argument in arguments(node.provider):
        try:
            argument()
        except Exception as cause:  # noqa: BLE001 - any failure of an argument is the answer looked for
            return f"argument {label}: ", cause
    return "", error


def _told(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if len(frames) > 1 else ""
    return f"{type(error).__name__}: {error}{place}"
