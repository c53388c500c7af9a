"""Tenants completed with what only storage knows, asked for once."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio


class Resolution:
    """The completed tenants of one module: asked for before a tenant's first worker run, then kept.

    Only success is kept: a failed lookup fails the run that asked, and the next run asks again. Units of one tenant
    that start together ask once. Tenants are told apart by their text, which is their identity.
    """

    def __init__(self, resolve: Callable[[Any], Awaitable[object]]) -> None:
        self._resolve = resolve
        self._known: dict[str, object] = {}
        self._asking: dict[str, list[anyio.Event]] = {}  # who waits for the answer

    def known(self, text: str) -> object | None:
        """The completed tenant that *text* names, if it is known; else None."""
        return self._known.get(text)

    async def of(self, text: str, tenant: object) -> object:
        """The completed *tenant*, which *text* names. Raises what the lookup raises."""
        while text not in self._known:
            waiting = self._asking.get(text)
            if waiting is None:
                await self._ask(text, tenant)
            else:
                answered = anyio.Event()
                waiting.append(answered)
                await answered.wait()
        return self._known[text]

    def forget(self, text: str) -> None:
        """Ask again at the tenant's next run: it left, or its preflights are run anew."""
        self._known.pop(text, None)
        self._asking.pop(text, None)

    async def _ask(self, text: str, tenant: object) -> None:
        waiting = self._asking[text] = []
        try:
            self._known[text] = await self._resolve(tenant)
        finally:
            if self._asking.get(text) is waiting:
                del self._asking[text]
            for answered in waiting:
                answered.set()

    def __repr__(self) -> str:
        return f"<Resolution: {len(self._known)} tenants known>"
