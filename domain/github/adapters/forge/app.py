"""The forge as an ASGI application: addresses, and what trouble does to a connection."""

import socket
import struct
from asyncio import Transport
from collections.abc import Awaitable, Callable

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from domain.github.adapters.forge import endpoints
from domain.github.adapters.forge.answer import Answer, Call
from domain.github.adapters.forge.control import control_routes
from domain.github.adapters.forge.endpoints import Endpoint
from domain.github.adapters.forge.forge import Forge
from domain.github.adapters.forge.pages import page_routes
from domain.github.adapters.forge.trouble import Kind, Trouble

TRANSPORT = "forge.transport"  # where the server puts the connection into the scope's state

_LINGER_NOT = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: closing sends RST

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

_UNDER_A_REPOSITORY: tuple[tuple[str, str, Endpoint], ...] = (
    ("GET", "", endpoints.get_repository),
    ("GET", "/issues", endpoints.list_issues),
    ("GET", "/issues/{number}", endpoints.get_issue),
    ("GET", "/issues/{number}/comments", endpoints.list_comments),
    ("POST", "/issues/{number}/comments", endpoints.post_comment),
)


def create_app(forge: Forge, stopping: anyio.Event) -> Starlette:
    """The application of *forge*; when *stopping* is set, slow answers are given at once."""

    def route(path: str, endpoint: Endpoint, methods: list[str]) -> Route:
        return Route(path, _respond(forge, endpoint, stopping), methods=methods)

    return Starlette(
        routes=[
            *control_routes(forge),
            route("/rate_limit", forge.rate_limit, ["GET"]),
            *(
                route(prefix + rest, endpoint, [method])
                for prefix in ("/repos/{owner}/{name}", "/repositories/{id}")
                for method, rest, endpoint in _UNDER_A_REPOSITORY
            ),
            *page_routes(forge),
            route("/{rest:path}", endpoints.not_found, _METHODS),
        ]
    )


def _respond(forge: Forge, endpoint: Endpoint, stopping: anyio.Event) -> Callable[[Request], Awaitable["Delivery"]]:
    async def respond(request: Request) -> Delivery:
        call = Call(
            method=request.method,
            path=request.url.path,
            query=dict(request.query_params),
            headers=dict(request.headers),
            parameters=request.path_params,
            body=await request.body(),
            base=f"{request.url.scheme}://{request.url.netloc}",
            raw_query=request.url.query,
        )
        return Delivery(*forge.handle(call, endpoint), stopping)

    return respond


class Delivery(Response):
    """An answer on its way, which *trouble* may delay or cut off."""

    def __init__(self, answer: Answer, trouble: Trouble | None, stopping: anyio.Event) -> None:
        super().__init__(answer.body, answer.status, dict(answer.headers))
        self._trouble = trouble
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, or as much of it as the trouble lets through."""
        kind = None if self._trouble is None else self._trouble.kind
        if self._trouble is not None and kind is Kind.SLOW:
            with anyio.move_on_after(self._trouble.wait):
                await self._stopping.wait()
        if kind is Kind.TRUNCATED or kind is Kind.RESET:
            await self._cut(scope, receive, send, reset=kind is Kind.RESET)
        else:
            await super().__call__(scope, receive, send)

    async def _cut(self, scope: Scope, receive: Receive, send: Send, *, reset: bool) -> None:
        transport: Transport = scope["state"][TRANSPORT]
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        if reset:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            transport.abort()
        else:
            transport.close()
        # Until the server has noticed: an answer left unfinished on an open connection would be logged as a defect.
        while (await receive())["type"] != "http.disconnect":
            pass
