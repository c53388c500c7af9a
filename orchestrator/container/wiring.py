"""The wiring preflight: what no type checker sees in a container, found before anything is built."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, cast

from dependency_injector import containers, errors, providers

from orchestrator.container.graph import CALLERS, Graph, Node, children
from orchestrator.container.providers import Managed

_ONE_TASK = (
    "its init and shutdown run outside the task that owns the service, where no task group or cancel scope works"
)


def wiring_problems(container: containers.Container) -> list[str]:
    """Everything that is wrong with how *container* is put together; empty: nothing. Builds nothing.

    Every Singleton, Managed, Factory and Callable must fit the signature of what it calls. Asynchronous providers,
    dependencies that nobody gave, circles, and references to a provider that a subclass has replaced are refused.
    """
    graph = Graph(container)
    problems = [f"providers depend on each other in a circle: {cycle}" for cycle in graph.cycles]
    for node in graph.nodes:
        problems += _problems(node)
    for inside in graph.containers:
        problems += _stale_references(inside)
    problems += _registration_problems(container)
    return problems


def _problems(node: Node) -> Iterator[str]:
    provider = node.provider
    if isinstance(provider, providers.Dependency):
        yield from _dependency_problems(node, provider)
    elif provider.last_overriding is not None:
        return
    elif isinstance(provider, providers.BaseResource):
        yield f"{node.name} is a {type(provider).__name__}: {_ONE_TASK}; use orchestrator.Managed"
    elif isinstance(provider, CALLERS):
        yield from _call_problems(node, provider)


def _dependency_problems(node: Node, provider: "providers.Dependency[Any]") -> Iterator[str]:
    if not provider.is_defined:
        yield f"{node.path!r} is a Dependency that nobody gave; pass {node.path}=... when the container is made"
    elif isinstance(provider.last_overriding, providers.Object):
        try:
            provider()
        except errors.Error:
            given = provider.last_overriding()
            wanted, got = provider.instance_of.__name__, type(given).__name__
            yield f"{node.path!r} must be a {wanted}, but a {got} was given"


def _call_problems(node: Node, provider: object) -> Iterator[str]:
    provides = cast("Callable[..., object] | None", getattr(provider, "provides", None))
    if provides is None:
        yield f"{node.path!r} provides nothing; give it a class, or override it"
        return
    if isinstance(provider, providers.Coroutine) or inspect.iscoroutinefunction(provides):
        yield f"{node.name} is asynchronous, and so would be everything that uses it; use orchestrator.Managed"
        return
    positional = cast("tuple[object, ...]", getattr(provider, "args", ()))
    keywords = cast("Mapping[str, object]", getattr(provider, "kwargs", {}))
    for problem in _signature_problems(provides, len(positional), keywords):
        yield f"{node.name}: {problem}"
    if isinstance(provider, Managed) and isinstance(provides, type):
        missing = [method for method in ("__aenter__", "__aexit__") if not hasattr(provides, method)]
        if missing:
            yield f"{node.name} is Managed, but has no {' and no '.join(missing)}; add them or use providers.Singleton"


def _signature_problems(provides: Callable[..., object], given: int, keywords: Mapping[str, object]) -> list[str]:
    try:
        signature = inspect.signature(provides)
    except (TypeError, ValueError):
        return []
    try:
        signature.bind(*[None] * given, **keywords)
    except TypeError as error:
        return _wrong_arguments(signature, given, keywords) or [str(error)]
    return []


def _wrong_arguments(signature: inspect.Signature, given: int, keywords: Mapping[str, object]) -> list[str]:
    parameters = list(signature.parameters.values())
    kinds = {parameter.kind for parameter in parameters}
    by_position = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    by_name = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    filled = {p.name for p in by_position[:given]}
    problems: list[str] = []
    if given > len(by_position) and inspect.Parameter.VAR_POSITIONAL not in kinds:
        problems.append(f"{given} positional arguments are given, but {len(by_position)} fit {signature}")
    for name in keywords:
        if name in filled:
            problems.append(f"argument {name!r} is given twice, by position and by name")
        elif name not in by_name and inspect.Parameter.VAR_KEYWORD not in kinds:
            near = get_close_matches(name, by_name, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(by_name) or 'none'}"
            problems.append(f"there is no argument {name!r}{hint}")
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for parameter in parameters:
        absent = parameter.name not in filled and parameter.name not in keywords
        if absent and parameter.default is parameter.empty and parameter.kind not in variadic:
            problems.append(f"argument {parameter.name!r} is missing")
    return problems


def _stale_references(container: containers.Container) -> Iterator[str]:
    declared = getattr(container, "declarative_parent", None)
    if not isinstance(declared, type) or not issubclass(declared, containers.DeclarativeContainer):
        return
    current = declared.providers
    replaced = {
        id(provider): (name, parent)
        for parent in declared.__mro__[1:]
        if issubclass(parent, containers.DeclarativeContainer)
        for name, provider in parent.providers.items()
        if current.get(name) is not provider
    }
    for node in Graph(cast("containers.Container", declared)).nodes:
        for _, child in children(node.provider):
            if id(child) in replaced:
                name, parent = replaced[id(child)]
                yield (
                    f"{node.path!r} still uses {name!r} of {parent.__name__}, not the one that "
                    f"{declared.__name__} defines; put @containers.copy({parent.__name__}) above "
                    f"class {declared.__name__}"
                )


def _registration_problems(container: containers.Container) -> Iterator[str]:
    modules = container.providers.get("modules")
    if modules is None:
        yield "the container has no 'modules'; subclass orchestrator.Container"
    elif modules.last_overriding is None and not isinstance(modules, providers.Dict):
        yield f"'modules' is a {type(modules).__name__}; make it providers.Dict(name=providers.Singleton(Module, ...))"
    elif isinstance(modules, providers.Dict) and modules.last_overriding is None and not modules.kwargs:
        yield "'modules' is empty, so there is nothing to run; register modules = providers.Dict(name=...)"
