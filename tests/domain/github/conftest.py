"""Fixtures of the reference application: a scripted HTTP server, a real database, a run that only records."""

import json
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from domain.github.adapters.forge import Draft, Forge, World, forge_in_thread
from domain.github.adapters.github_http import GithubHttp
from domain.github.adapters.issue_store import SqlRepositories
from domain.github.adapters.schema import BATTERY, MIGRATIONS
from domain.github.adapters.throttle import Throttle
from domain.github.entities import Issue, Repository, RepositoryFacts
from orchestrator.sql import StateDatabase


@dataclass(frozen=True)
class Asked:
    """One request that reached the stub."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """One answer of the stub; *cut* closes the connection in the middle of the body."""

    status: int = 200
    body: object = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class HttpStub:
    """Answers from its queue, and when that is empty from *responder*."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.queue: deque[Reply] = deque()
        self.responder: Callable[[Asked], Reply] = lambda asked: Reply(404, {"message": f"no {asked.path}"})
        self.url = ""

    def reply(self, *replies: Reply) -> None:
        self.queue.extend(replies)


@pytest.fixture
def stub() -> Iterator[HttpStub]:
    """An HTTP server on loopback, in threads of its own."""
    made = HttpStub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            query = {name: values[-1] for name, values in parse_qs(url.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, url.path, query, headers, body)
            made.asked.append(asked)
            reply = made.queue.popleft() if made.queue else made.responder(asked)
            self.send_response_only(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 304:
                self.send_header("Content-Length", str(len(reply.content) + (10 if reply.cut else 0)))
            self.end_headers()
            if reply.status != 304:
                self.wfile.write(reply.content)
            if reply.cut:
                self.close_connection = True

        do_GET = do_POST = _answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *args: object) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that gives up is part of some tests."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class RecordingRun:
    """A Run, and an IntentRun when it has a payload, that keeps what it is told."""

    def __init__(self, run_id: str = "run-1", payload: object = None, attempt: int = 1) -> None:
        self.id = run_id
        self.stopping = False
        self.payload = payload
        self.attempt = attempt
        self.type = "github.issue.explain.v1"
        self.deadline = float("inf")
        self.logger = logging.LoggerAdapter(logging.getLogger("test.run"))
        self.notes: list[str | None] = []

    def progress(self, note: str | None = None) -> None:
        self.notes.append(note)

    async def heartbeat(self) -> None:
        self.notes.append("heartbeat")


@pytest.fixture
def new_run() -> type[RecordingRun]:
    """Makes runs."""
    return RecordingRun


@pytest.fixture
def reply() -> type[Reply]:
    """Makes answers of the stub."""
    return Reply


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/var/state.db"
    return f"{request.getfixturevalue('postgres_url')}?schema=its%20own"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[StateDatabase]:
    """A real database with our tables, as the service opens it."""
    async with StateDatabase(database_url, {BATTERY: MIGRATIONS}) as opened:
        yield opened


@pytest.fixture
def new_issue() -> Callable[..., Issue]:
    """Makes issues; whatever is not given has a plain default."""

    def make(number: int = 1, *, updated_at: str = "2026-01-01T00:00:00Z", **changes: object) -> Issue:
        values: dict[str, object] = {
            "github_id": 1000 + number,
            "title": f"Issue {number}",
            "body": "Some text that describes it well enough.",
            "state": "open",
            "author": "someone",
            "labels": (),
        }
        return Issue(number=number, updated_at=updated_at, **(values | changes))  # type: ignore[arg-type]  # fields of any kind

    return make


class Clock:
    """The forge's time, moved by the test."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def tick(self, seconds: float = 1.0) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    """Noon of the first day of 2026, until it is moved."""
    return Clock()


@pytest.fixture
def forge(clock: Clock) -> Forge:
    """A forge with one empty repository, octocat/hello."""
    world = World(clock=clock)
    world.add_repository("octocat/hello")
    return Forge(world, limit=100_000)


@pytest.fixture
def open_issue(forge: Forge) -> Callable[..., int]:
    """Opens an issue in octocat/hello and returns its number."""

    def make(title: str = "Something is wrong", body: str = "", **options: object) -> int:
        draft = Draft("octocat/hello", title, body, **options)  # type: ignore[arg-type]  # fields of any kind
        return forge.world.open_issue(draft).number

    return make


@pytest.fixture
async def github(forge: Forge) -> AsyncIterator[GithubHttp]:
    """The real client before the forge, without pacing."""
    with forge_in_thread(forge) as url:
        async with GithubHttp(url, throttle=Throttle(0.0), wall_clock=lambda: forge.world.clock().timestamp()) as made:
            yield made


@pytest.fixture
async def repository(database: StateDatabase) -> Repository:
    """octocat/hello, registered."""
    tenant = Repository("octocat", "hello")
    facts = RepositoryFacts(42, "octocat/hello")
    return replace(tenant, id=await database.transaction(lambda db: SqlRepositories().register(db, tenant, facts)))
