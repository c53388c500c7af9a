"""Which database a command works on when a service is named."""

import sys

import pytest

from orchestrator.sql import SqliteDatabase

SHOP = """
from typing import Annotated

from dependency_injector import providers

from orchestrator import Container, Managed, Service, Settings
from orchestrator.contracts import GlobalWorkerSpec, Module
from orchestrator.inbox import Inbox
from orchestrator.settings import Section
from orchestrator.sql import StateDatabase


class State(Section):
    url: str = "sqlite://shop.db"


class ShopSettings(Settings):
    state: State = State()


class Counter:
    def task_spec(self):
        return GlobalWorkerSpec("counter", 60, self.count)

    async def count(self, run):
        raise AssertionError("no command runs anything")


class Shops(Module):
    name = "shops"

    def __init__(self, *needs):
        pass

    def global_workers(self):
        return [Counter()]


class Foreign:
    dialect = "sqlite"

    async def transaction(self, work): ...
    async def read(self, work): ...
    async def migrate(self, battery, steps): ...


class ShopContainer(Container):
    settings = providers.Dependency(instance_of=ShopSettings)
    config = settings.provided
    database = Managed(StateDatabase, config.state.url, {"shop": ["CREATE TABLE shop (id TEXT)", "SELECT 1"]})
    inbox = providers.Singleton(Inbox.over, database)
    modules = providers.Dict(shops=providers.Singleton(Shops, inbox))


class TwoContainer(Container):
    archive = Managed(StateDatabase, "sqlite://archive.db", {"archive": ["SELECT 1"]})
    database = Managed(StateDatabase, "sqlite://shop.db")
    inbox = providers.Singleton(Inbox.over, database)
    modules = providers.Dict(shops=providers.Singleton(Shops, archive))


class BothContainer(Container):
    one = providers.Singleton(Inbox.over, Managed(StateDatabase, "sqlite://one.db"))
    two = providers.Singleton(Inbox.over, Managed(StateDatabase, "sqlite://two.db"))
    modules = providers.Dict(shops=providers.Singleton(Shops, one, two))


class WithoutContainer(Container):
    database = Managed(StateDatabase, "sqlite://shop.db")
    modules = providers.Dict(shops=providers.Singleton(Shops, database))


class BareContainer(Container):
    settings = providers.Dependency(instance_of=ShopSettings)
    modules = providers.Dict(shops=providers.Singleton(Shops))


class ForeignContainer(Container):
    inbox = providers.Singleton(Inbox.over, providers.Singleton(Foreign))
    modules = providers.Dict(shops=providers.Singleton(Shops, inbox))


class Shop(Service):
    name, settings, container = "shop", ShopSettings, ShopContainer


class Two(Service):
    name, container = "two", TwoContainer


class Both(Service):
    name, container = "both", BothContainer


class Without(Service):
    name, container = "without", WithoutContainer


class Bare(Service):
    name, settings, container = "bare", ShopSettings, BareContainer


class ForeignShop(Service):
    name, container = "foreign", ForeignContainer
"""


@pytest.fixture
def shop(command, tmp_path, monkeypatch):
    """Runs a command line in the folder of the services above; theirs is ``shop:Shop``."""
    (tmp_path / "shop_services.py").write_text(SHOP, encoding="utf-8")
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield lambda *argv, service="Shop": command("--service", f"shop_services:{service}", *argv)
    sys.modules.pop("shop_services", None)


def test_the_inbox_of_the_container_is_used(shop, tmp_path):
    """Nothing but the service has to be named."""
    shop("migrate")

    run_id = shop("inbox", "submit", "shop.receipt.v1").out.strip()

    assert [run["id"] for run in shop("inbox", "list", "--json").json["runs"]] == [run_id]
    assert (tmp_path / "shop.db").exists()


def test_migrate_brings_every_battery_of_the_service(shop, tmp_path):
    """Those of its database first, then the inbox; as they come when it starts."""
    before = shop("migrate", "status")
    made = shop("migrate", "--json").json["batteries"]
    after = shop("migrate", "status", "--json").json["batteries"]

    assert (before.code, len(before.err.splitlines())) == (1, 2)
    assert [(each["battery"], each["before"]) for each in made] == [("shop", 0), ("inbox", 0)]
    assert made[0]["version"] == 2
    assert [each["up_to_date"] for each in after] == [True, True]
    assert {each["database"] for each in after} == {str(tmp_path / "shop.db")}


def test_a_service_may_have_several_databases(shop, tmp_path):
    """The inbox is found in its own, also when no module needs it."""
    made = shop("migrate", "--json", service="Two").json["batteries"]
    shop("inbox", "submit", "shop.receipt.v1", service="Two")

    assert [(each["battery"], each["database"]) for each in made] == [
        ("archive", str(tmp_path / "archive.db")),
        ("inbox", str(tmp_path / "shop.db")),
    ]
    assert len(shop("inbox", "list", "--json", service="Two").json["runs"]) == 1


def test_the_environment_counts_as_it_does_for_the_service(shop, tmp_path, monkeypatch):
    """It is a setting like any other."""
    monkeypatch.setenv("ORCHESTRATOR_STATE__URL", "sqlite://other.db")

    shop("migrate")

    assert (tmp_path / "other.db").exists()
    assert not (tmp_path / "shop.db").exists()


def test_a_url_beats_the_service(shop, tmp_path):
    """What is said on the command line is meant."""
    shop("migrate", "--url", "sqlite://given.db")

    assert {path.name for path in tmp_path.glob("*.db")} == {"given.db"}


def test_the_settings_tell_when_the_container_does_not(shop, tmp_path):
    """``[state] url`` is where services keep what they have."""
    shop("migrate", service="Bare")

    assert shop("inbox", "stats", service="Bare").out == "the inbox is empty\n"
    assert (tmp_path / "shop.db").exists()


@pytest.mark.parametrize(
    ("service", "why"),
    [
        ("Without", "the service has no inbox: its container makes no orchestrator.inbox.Inbox"),
        ("Both", "the service has inboxes in 2 databases"),
        ("ForeignShop", "the inbox of the service is in a Foreign, whose address is not known here"),
    ],
)
def test_what_cannot_be_told_is_one_line(shop, error_of, service, why):
    """With the remedy, and nothing is made."""
    error = error_of(shop("inbox", "list", service=service), 2)

    assert why in error
    assert "--url" in error


def test_settings_that_are_wrong_are_told_with_a_way_round(shop, monkeypatch):
    """An operator may not have all secrets of the service."""
    monkeypatch.setenv("ORCHESTRATOR_STATE__URI", "sqlite://x.db")

    result = shop("inbox", "list")

    assert (result.code, result.out) == (2, "")
    assert "ORCHESTRATOR_STATE__URI" in result.err
    assert "or name the database itself, with --url" in result.err
    assert "Traceback" not in result.err


@pytest.mark.anyio
async def test_the_lock_of_a_running_service_is_not_asked_for(shop, tmp_path, anyio_backend):
    """A service holds it as long as it runs, and operators work beside it."""
    from anyio import to_thread

    async with SqliteDatabase.open(tmp_path / "shop.db", exclusive=True):
        codes = [
            (await to_thread.run_sync(lambda words=words: shop(*words))).code
            for words in (["migrate"], ["inbox", "submit", "shop.receipt.v1"], ["inbox", "list"])
        ]

    assert codes == [0, 0, 0]


def test_two_services_of_one_folder_do_not_meet(shop):
    """Each has the inbox of its own settings."""
    shop("migrate")
    shop("migrate", service="Both")

    shop("inbox", "submit", "shop.receipt.v1")

    assert shop("inbox", "stats", "--url", "sqlite://one.db").out == "the inbox is empty\n"
