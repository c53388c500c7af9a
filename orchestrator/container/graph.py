"""The providers of a container and what each depends on, dependencies first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from dependency_injector import containers, providers

#: A provider of whatever type: the library knows no more.
AnyProvider: TypeAlias = providers.Provider[Any]

#: Providers that call something with arguments.
CALLERS = (providers.BaseSingleton, providers.Factory, providers.Callable)


@dataclass(frozen=True, slots=True)
class Node:
    """One provider, and where it stands: ``db``, ``modules.repositories``, ``modules.repositories(client)``."""

    path: str
    provider: AnyProvider

    @property
    def name(self) -> str:
        """Where it stands and what it makes."""
        provides = getattr(self.provider, "provides", None)
        if provides is None:
            return repr(self.path)
        module, qualname = getattr(provides, "__module__", ""), getattr(provides, "__qualname__", repr(provides))
        return f"{self.path!r} ({module}.{qualname})"


class Graph:
    """All providers reachable from *container*, each once, every one behind what it depends on.

    An overridden provider stands for what overrides it; its own dependencies are not followed. *cycles* are the paths
    that lead back to themselves, *containers* the container and those inside it.
    """

    def __init__(self, container: containers.Container) -> None:
        self.nodes: list[Node] = []
        self.cycles: list[str] = []
        self.containers: list[containers.Container] = [container]
        self._paths = {id(provider): name for name, provider in container.providers.items()}
        self._done: set[int] = set()
        self._open: list[Node] = []
        for name, provider in container.providers.items():
            self._visit(Node(name, provider))

    def needs(self, root: AnyProvider) -> Iterator[Node]:
        """What *root* depends on, dependencies first, and *root* itself last."""
        wanted: set[int] = {id(root)}
        for node in reversed(self.nodes):
            if id(node.provider) in wanted:
                wanted.update(id(child) for _, child in children(node.provider))
        return (node for node in self.nodes if id(node.provider) in wanted)

    def _visit(self, node: Node) -> None:
        key = id(node.provider)
        if key in self._done:
            return
        if any(key == id(ancestor.provider) for ancestor in self._open):
            self.cycles.append(" -> ".join([ancestor.path for ancestor in self._open] + [node.path]))
            return
        self._open.append(node)
        if isinstance(node.provider, providers.Container):
            self.containers.append(node.provider.container)
        for label, child in children(node.provider):
            self._visit(Node(self._paths.get(id(child), node.path + label), child))
        self._open.pop()
        self._done.add(key)
        self.nodes.append(node)


def children(provider: AnyProvider) -> Iterator[tuple[str, AnyProvider]]:
    """What *provider* depends on, each with a label that follows the provider's own path."""
    overriding = provider.last_overriding
    if overriding is not None:
        yield "", overriding
        return
    if isinstance(provider, providers.Container | providers.DependenciesContainer):
        inside = cast("Mapping[str, AnyProvider]", provider.providers)
        for name, inner in inside.items():
            yield f".{name}", inner
        return
    labels = {id(argument): label for label, argument in arguments(provider)}
    keyed = isinstance(provider, providers.Dict | providers.Selector)
    for child in provider.related:
        label = labels.get(id(child), "")
        yield (f".{label}" if keyed else f"({label})") if label else "", child


def arguments(provider: AnyProvider) -> Iterator[tuple[str, AnyProvider]]:
    """The arguments of *provider* that are providers themselves, each with its position from 1 or its keyword."""
    # Asked of the class: ``settings.provided`` answers any attribute with one more provider, without end.
    kind = type(provider)
    positional: tuple[object, ...] = getattr(provider, "args", ()) if hasattr(kind, "args") else ()
    keywords: Mapping[object, object] = getattr(provider, "kwargs", {}) if hasattr(kind, "kwargs") else {}
    for label, argument in [*enumerate(positional, 1), *keywords.items()]:
        if isinstance(argument, providers.Provider):
            yield str(label), argument
