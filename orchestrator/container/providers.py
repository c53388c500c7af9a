"""The container that a service fills, and the provider of objects that are opened and closed."""

from typing import Any, TypeVar

from dependency_injector import containers, providers

T = TypeVar("T")


class Managed(providers.Singleton[T]):
    """One object that is an async context manager: built by the container, opened and closed by the service.

    The service enters every Managed object in dependency order, all in one task, and closes them in reverse. What a
    dependant receives is the object itself, so ``__aenter__`` must return the object (``return self``). An object
    does nothing before it is entered: building one opens no connection.

    Use it for whatever must be closed. The container's own asynchronous providers (Resource, Coroutine) are refused:
    each of theirs runs in a task of its own, where a task group or a cancel scope cannot be left again.
    """


class Container(containers.DeclarativeContainer):
    """What a service is made of. A team subclasses it and registers its modules.

    *settings* is the loaded settings object; redeclare it with ``providers.Dependency(instance_of=MySettings)`` to use
    it in the class body. *modules* maps the name of each module to its provider; the names appear in the plan, in
    logs and in metrics. A class that subclasses a filled container needs ``@containers.copy(ThatContainer)``.
    """

    settings: providers.Dependency[Any] = providers.Dependency()
    modules: providers.Dict = providers.Dict()
