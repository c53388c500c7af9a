"""Replacing parts of a container for a test."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from difflib import get_close_matches
from typing import TypeVar

from dependency_injector import containers, providers

from orchestrator.container.errors import OverrideError

C = TypeVar("C", bound=containers.Container)


@contextmanager
def overriding(container: C, /, **replacements: object) -> Iterator[C]:
    """*container* with each named provider replaced by an object (used as it is) or by a provider (called).

    Singletons are built anew on both sides: none keeps the real part inside, none keeps the replaced one afterwards.
    A plain object is not opened by the service; override with ``Managed(...)`` for that. Do not use it while the
    container is open. OverrideError for a name that the container does not have.
    """
    for name in replacements:
        if name not in container.providers:
            near = get_close_matches(name, container.providers, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(container.providers)}"
            raise OverrideError(f"the container has no {name!r}; {hint}")
    with ExitStack() as undo:
        for name, replacement in replacements.items():
            provider = replacement if isinstance(replacement, providers.Provider) else providers.Object(replacement)
            container.providers[name].override(provider)
            undo.callback(container.providers[name].reset_last_overriding)
        container.reset_singletons()
        try:
            yield container
        finally:
            undo.close()
            container.reset_singletons()
