"""Managed objects are opened in dependency order in one task, and closed in reverse."""

import anyio
import pytest
from dependency_injector import providers

from orchestrator.container import (
    BuildError,
    Container,
    Managed,
    ManagedError,
    OverrideError,
    built,
    opened,
    overriding,
)

EVENTS = []


@pytest.fixture(autouse=True)
def events():
    """What was built, opened and closed, in order."""
    EVENTS.clear()
    return EVENTS


class Part:
    """An async context manager that tells what happens to it."""

    def __init__(self, name, *needs):
        self.name, self.needs = name, needs
        EVENTS.append(f"build {name}")

    async def __aenter__(self):
        await anyio.lowlevel.checkpoint()
        EVENTS.append(f"open {self.name}")
        return self

    async def __aexit__(self, *exc_info):
        await anyio.lowlevel.checkpoint()
        EVENTS.append(f"close {self.name}")


class Grouped(Part):
    """Holds a task group: it can be left only in the task that entered it."""

    async def __aenter__(self):
        self.group = anyio.create_task_group()
        await self.group.__aenter__()
        return await super().__aenter__()

    async def __aexit__(self, *exc_info):
        await super().__aexit__()
        return await self.group.__aexit__(*exc_info)


class Silent(Part):
    """Forgets to return itself."""

    async def __aenter__(self):
        await super().__aenter__()


class Broken(Part):
    """Cannot be opened."""

    async def __aenter__(self):
        raise OSError("disk is full")


class Module:
    """Stands for a module."""

    def __init__(self, *needs):
        self.needs = needs
        EVENTS.append("build module")


class Service(Container):
    """The user declares the dependent parts first; the order is found."""

    pool = Managed(Grouped, "pool")
    db = Managed(Grouped, "db", pool)
    cache = Managed(Part, "cache")
    modules = providers.Dict(one=providers.Singleton(Module, db), two=providers.Singleton(Module, db, cache))


def container_of(**declared):
    """A container with these providers and one module that needs none."""
    declared.setdefault("modules", providers.Dict(one=providers.Singleton(Module)))
    return type("Example", (Container,), declared)(settings=None)


@pytest.mark.anyio
async def test_parts_are_opened_behind_what_they_need_and_closed_in_reverse(events):
    """All are built before any is opened."""
    async with opened(Service(settings=None)) as modules:
        assert list(modules) == ["one", "two"]
        assert modules["one"].needs[0] is modules["two"].needs[0]
        events.append("run")

    assert events.index("open pool") > max(i for i, event in enumerate(events) if event.startswith("build"))
    assert [event for event in events if not event.startswith("build")] == [
        "open pool",
        "open db",
        "open cache",
        "run",
        "close cache",
        "close db",
        "close pool",
    ]


@pytest.mark.anyio
async def test_a_part_that_cannot_be_opened_closes_those_before_it(events):
    """The error says what was being opened."""
    pool = Managed(Part, "pool")

    with pytest.raises(OSError, match="disk is full") as caught:
        async with opened(container_of(pool=pool, db=Managed(Broken, "db", pool))):
            pytest.fail("it must not run")

    assert "while opening 'db'" in caught.value.__notes__[0]
    assert events[-2:] == ["open pool", "close pool"]


@pytest.mark.anyio
async def test_a_part_that_does_not_return_itself_is_refused_and_closed(events):
    """Its dependants hold the object, so the object is what must be opened."""
    with pytest.raises(ManagedError, match=r"'db' .*__aenter__ returned NoneType.*return self"):
        async with opened(container_of(db=Managed(Silent, "db"))):
            pytest.fail("it must not run")

    assert events[-1] == "close db"


@pytest.mark.anyio
async def test_what_is_no_context_manager_is_refused():
    """A function may make anything, so this is seen when it is made."""
    with pytest.raises(ManagedError, match=r"'db' .* made a int"):
        async with opened(container_of(db=Managed(lambda: 3))):
            pytest.fail("it must not run")


@pytest.mark.anyio
async def test_nothing_is_opened_unless_everything_can_be_built(events):
    """Half a service is no service."""
    container = container_of(
        db=Managed(Part, "db"), modules=providers.Dict(one=providers.Singleton(int, "not a number"))
    )

    with pytest.raises(BuildError):
        async with opened(container):
            pytest.fail("it must not run")

    assert "open db" not in events


def test_a_part_that_cannot_be_built_is_named_with_the_cause():
    """The provider at fault, not the one that needs it."""
    bad = providers.Singleton(int, "x")

    with pytest.raises(BuildError, match=r"'bad' \(builtins.int\) cannot be built: ValueError: invalid literal"):
        built(container_of(bad=bad, modules=providers.Dict(one=providers.Singleton(Module, bad))))


def test_an_argument_that_cannot_be_had_is_named():
    """The settings have no such field."""
    modules = providers.Dict(one=providers.Singleton(Part, name=Container.settings.provided.dsn))

    with pytest.raises(BuildError, match=r"'modules.one' .* argument name: AttributeError: .*dsn"):
        built(container_of(modules=modules))


def test_an_override_reaches_parts_that_were_built_before_and_leaves_none_behind():
    """Singletons are built anew on both sides."""
    container = Service(settings=None)
    real = built(container)["one"]

    with overriding(container, db="fake") as same:
        assert same is container
        assert built(container)["one"].needs == ("fake",)

    again = built(container)["one"]
    assert isinstance(again.needs[0], Grouped)
    assert again is not real


@pytest.mark.anyio
async def test_an_overriding_object_is_not_opened_and_an_overriding_managed_is(events):
    """Who makes an object opens it."""
    container = Service(settings=None)

    with overriding(container, db=Part("given"), cache=Managed(Part, "fake cache")):
        async with opened(container):
            pass

    assert {event for event in events if event.startswith("open")} == {"open fake cache", "open pool"}


def test_an_override_of_nothing_is_refused_with_the_nearest_name():
    """And nothing stays overridden."""
    container = Service(settings=None)

    with pytest.raises(OverrideError, match="no 'cach'; did you mean 'cache'"), overriding(container, db=1, cach=2):
        pytest.fail("it must not run")

    assert not container.db.overridden
