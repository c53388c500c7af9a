"""A database of each kind that a foreign program and ours share."""

import json
import threading
from contextlib import contextmanager

import pytest

from orchestrator.inbox import Handlers, Inbox, Poller
from tests.orchestrator.inbox.wire.foreign import Foreign


class Place:
    """Where both programs meet."""

    def __init__(self, url):
        self.url = url
        self.sqlite = url.startswith("sqlite")
        self.opened = []

    def foreign(self, form="go"):
        """A client of the other program; its tables are made by ``migrate()``."""
        self.opened.append(Foreign(self.url, form=form))
        return self.opened[-1]

    def inbox(self, **options):
        return Inbox.open(self.url, **options)

    def age(self, seconds):
        """Let so many seconds pass, as far as leases and starts are concerned."""
        client = self.opened[0] if self.opened else self.foreign()
        for column in ("run_at", "lease_until"):
            earlier = f"{column} - interval '{seconds} seconds'"
            if self.sqlite:
                earlier = f"strftime('%Y-%m-%d %H:%M:%f000', {column}, '-{seconds} seconds')"
            client.run(f"UPDATE workflow_run SET {column} = {earlier} WHERE {column} IS NOT NULL")


@pytest.fixture
def anyio_backend():
    """What is told apart here are databases and clients; both backends meet in the tests of the poller."""
    return "asyncio"


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    """An empty database."""
    url = f"sqlite://{tmp_path}/state.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    made = Place(url)
    yield made
    for client in made.opened:
        client.close()


@pytest.fixture
def foreign(place):
    """A client of the other program on its own tables."""
    client = place.foreign()
    client.migrate()
    return client


@pytest.fixture
async def inbox(place, foreign, anyio_backend):
    """Our inbox on the tables of the other program."""
    async with place.inbox() as opened:
        yield opened


@pytest.fixture
def poll(inbox):
    """One poll of ours with *work* for each of *types*; how many runs that were."""

    async def call(work, *types, **options):
        handlers = Handlers()
        for type_ in types or ("mail.v1",):
            handlers.add(type_, work)
        return await Poller(inbox, handlers, **{"worker_id": "ours", "random": lambda: 0.5, **options}).poll()

    return call


@pytest.fixture
def history(inbox):
    """The types of a run's events, as our readers tell them."""

    async def call(run_id):
        return [event.type for event in await inbox.events(run_id)]

    return call


@contextmanager
def in_a_thread(work):
    """Run *work* meanwhile; what it raised is raised at the end."""
    errors = []

    def call():
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield
    finally:
        thread.join(60)
    if errors:
        raise errors[0]


def as_json(value):
    """*value*, which one driver decodes and the other does not."""
    return json.loads(value) if isinstance(value, str) else value


BOTH_BACKENDS = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
