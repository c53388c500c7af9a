"""The forge on a loopback port: inside a task group, in a thread of its own, or for a whole process."""

import asyncio
import contextlib
import errno
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterator

import anyio
import anyio.to_thread
import uvicorn
from anyio.from_thread import start_blocking_portal
from uvicorn.protocols.http.h11_impl import H11Protocol

from domain.github.adapters.forge.app import TRANSPORT, create_app
from domain.github.adapters.forge.errors import ForgeError, NotLoopback, PortInUse
from domain.github.adapters.forge.forge import Forge
from domain.github.adapters.forge.scenario import Scenario, play

KEEP_ALIVE = 75  # seconds; longer than any client's own, so that the server is never first to close a connection in use
DRAIN = 2  # seconds for answers that are being sent when the forge stops


@contextlib.asynccontextmanager
async def serving(
    forge: Forge, *, host: str = "127.0.0.1", port: int = 0, scenario: Scenario | None = None
) -> AsyncIterator[str]:
    """Serve *forge* while the block runs; yields its address, e.g. ``http://127.0.0.1:41234``.

    On asyncio the server is a task of this block; elsewhere, since uvicorn knows asyncio alone, it has a thread.
    *port* 0 takes any free one. *scenario* is played meanwhile. No signal handler is touched, and the port is closed
    when the block is left, cancelled or not. Raises `PortInUse`, `NotLoopback`, or `ForgeError` for another reason not
    to listen. What the block raises comes out as it is, in no group.
    """
    if not _on_asyncio():
        async with _serving_beside(forge, host, port, scenario) as url:
            yield url
        return
    failure: Exception | None = None
    with contextlib.closing(_listen(host, port)) as listener:
        server = _Embedded(forge)
        async with anyio.create_task_group() as tasks:
            try:
                tasks.start_soon(server.serve_until_stopped, listener)
                await server.ready.wait()
                if scenario is not None:
                    tasks.start_soon(_play, scenario, forge)
                yield _url(listener)
            except Exception as error:  # noqa: BLE001 - raised again below, outside the group that would wrap it
                failure = error
            finally:
                server.stop()
                tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


@contextlib.contextmanager
def forge_in_thread(
    forge: Forge, *, host: str = "127.0.0.1", port: int = 0, scenario: Scenario | None = None
) -> Iterator[str]:
    """`serving` for callers without an event loop, or with another one: the server has its own thread and loop."""
    with (
        start_blocking_portal("asyncio", name="forge") as portal,
        portal.wrap_async_context_manager(serving(forge, host=host, port=port, scenario=scenario)) as url,
    ):
        yield url


@contextlib.asynccontextmanager
async def _serving_beside(forge: Forge, host: str, port: int, scenario: Scenario | None) -> AsyncIterator[str]:
    """`forge_in_thread`, whose short waits at both ends are kept off the event loop."""
    thread = forge_in_thread(forge, host=host, port=port, scenario=scenario)
    url = await anyio.to_thread.run_sync(thread.__enter__)
    try:
        yield url
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(thread.__exit__, None, None, None)


class _Protocol(H11Protocol):
    """Shows the connection to the application, so that trouble can cut it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base class
        super().connection_made(transport)
        self.app_state = {**self.app_state, TRANSPORT: transport}


class _Embedded(uvicorn.Server):
    """uvicorn as a guest: its host owns the socket, the signals and the end."""

    def __init__(self, forge: Forge) -> None:
        self.ready = anyio.Event()
        self._stopping = anyio.Event()
        super().__init__(
            uvicorn.Config(
                create_app(forge, self._stopping),
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                date_header=False,
                timeout_keep_alive=KEEP_ALIVE,
            )
        )

    async def serve_until_stopped(self, listener: socket.socket) -> None:
        """Serve on *listener* until `stop`. Shielded: a cancelled uvicorn would leave its connections open."""
        with anyio.CancelScope(shield=True):
            await self.serve(sockets=[listener])

    def stop(self) -> None:
        """Finish the answers under way, without their delays, and end."""
        self.should_exit = True
        self._stopping.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        # The original looks every 0.1 s whether it should end; here an event says so, and no header needs a refresh.
        await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # The original sleeps 0.1 s before it looks whether there is anything to wait for; most often there is not.
        for server in self.servers:
            server.close()
        for each in sockets or ():
            each.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(0)  # a connection that was idle is gone now
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wait_tasks_to_complete(), DRAIN)
        for task in self.server_state.tasks:
            task.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the original replaces the handlers of SIGINT and SIGTERM and raises what it caught once more


async def _play(scenario: Scenario, forge: Forge) -> None:
    await play(scenario, forge)


def _on_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _listen(host: str, port: int) -> socket.socket:
    address = _loopback(host)
    if not 0 <= port <= 65_535:
        raise ForgeError(f"the forge cannot listen on port {port}; use 1 to 65535, or 0 for any free one")
    listener = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart need not wait for old connections
        listener.bind((str(address), port))
        listener.listen()
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(host, port) from None
        raise ForgeError(
            f"the forge cannot listen on {host}:{port}: {error.strerror}; choose another port, or 0 for any free one"
        ) from error
    return listener


def _loopback(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise NotLoopback(host) from None
    if not address.is_loopback:
        raise NotLoopback(host)
    return address


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
