"""The wiring preflight: every way to put a container together wrongly is one problem that names the provider."""

import pytest
from dependency_injector import containers, providers

from orchestrator.container import Container, Managed, wiring_problems


class Db:
    """Something opened and closed."""

    def __init__(self, url, *, pool=5):
        self.url = url

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc_info):
        return None


class Repositories:
    """A module of sorts."""

    def __init__(self, db, settings=None):
        self.db = db


async def fetch():
    """An asynchronous builder."""


def generated():
    """An initialiser of a resource."""
    yield 1


class Right(Container):
    """A container without a fault."""

    db = Managed(Db, Container.settings.provided.url, pool=3)
    modules = providers.Dict(repositories=providers.Singleton(Repositories, db, settings=Container.settings))


def container_of(**declared):
    """A container with these providers; *modules* gets one that is right unless given."""
    declared.setdefault("modules", providers.Dict(one=providers.Singleton(object)))
    return type("Example", (Container,), declared)(settings=object())


def test_a_container_that_fits_has_no_problem():
    """And nothing was built to know it."""
    container = Right(settings=object())

    assert wiring_problems(container) == []


@pytest.mark.parametrize(
    ("provider", "problem"),
    [
        (providers.Singleton(Db, 1, 2, 3), "3 positional arguments are given, but 1 fit (url, *, pool=5)"),
        (providers.Singleton(Db, 1, nope="x"), "there is no argument 'nope'"),
        (providers.Singleton(Db, 1, poll=2), "there is no argument 'poll'; did you mean 'pool'?"),
        (providers.Factory(Db), "argument 'url' is missing"),
        (providers.Callable(Db), "argument 'url' is missing"),
        (Managed(Db, 1, url=2), "argument 'url' is given twice"),
        (Managed(Repositories, 1), "has no __aenter__ and no __aexit__"),
        (providers.Singleton(fetch), "is asynchronous"),
        (providers.Coroutine(fetch), "is asynchronous"),
        (providers.Resource(generated), "is a Resource"),
        (providers.Dependency(), "is a Dependency that nobody gave; pass thing=..."),
        (providers.AbstractSingleton(Db), "argument 'url' is missing"),
        (providers.Singleton(), "provides nothing"),
    ],
)
def test_a_provider_that_does_not_fit_is_named(provider, problem):
    """The message says which provider and which argument."""
    (found,) = wiring_problems(container_of(thing=provider))

    assert "'thing'" in found
    assert problem in found


def test_every_problem_is_found_also_inside_other_providers():
    """An inline provider is named by where it stands."""
    modules = providers.Dict(
        one=providers.Singleton(Repositories, providers.Factory(Db), settings=providers.Singleton(Db, 1, x=2)),
        two=providers.Singleton(Repositories),
    )

    found = wiring_problems(container_of(modules=modules))

    assert "'modules.one(1)'" in found[0]
    assert "'modules.one(settings)'" in found[1]
    assert "'modules.two'" in found[2]


def test_settings_that_nobody_gave_are_named():
    """The container is made by hand, without them."""
    found = wiring_problems(Right())

    assert found == ["'settings' is a Dependency that nobody gave; pass settings=... when the container is made"]


def test_settings_of_another_type_are_refused():
    """Two services, one container given to the wrong one."""

    class Typed(Right):
        settings = providers.Dependency(instance_of=dict)

    problems = wiring_problems(Typed(settings=[]))

    assert "'settings' must be a dict, but a list was given" in problems


def test_a_subclass_that_replaces_a_provider_without_copy_is_refused():
    """The module would go on with the parent's database."""

    class Forgetful(Right):
        db = Managed(Db, "sqlite://")

    problems = wiring_problems(Forgetful(settings=object()))

    assert problems == [
        "'modules.repositories' still uses 'db' of Right, not the one that Forgetful defines; "
        "put @containers.copy(Right) above class Forgetful"
    ]


def test_a_subclass_that_copies_is_rewired():
    """As the remedy says."""

    @containers.copy(Right)
    class Copying(Right):
        db = Managed(Db, "sqlite://")

    container = Copying(settings=object())

    assert wiring_problems(container) == []
    assert container.modules()["repositories"].db.url == "sqlite://"


def test_a_circle_is_told_as_a_path():
    """The library would recurse until the stack ends."""
    one = providers.Singleton(Repositories)
    two = providers.Singleton(Repositories, one)
    container = container_of(one=one, two=two)
    container.one.add_args(container.two)

    problems = wiring_problems(container)

    assert problems == ["providers depend on each other in a circle: one -> two -> one"]


def test_an_overridden_provider_stands_for_what_overrides_it():
    """A test replaces a part that could not be wired."""
    container = container_of(thing=providers.Singleton(Db))

    with container.thing.override(providers.Object(3)):
        assert wiring_problems(container) == []


def test_a_container_inside_is_checked_too():
    """With the path that leads to it."""
    inner = type("Inner", (containers.DeclarativeContainer,), {"db": providers.Singleton(Db)})

    (found,) = wiring_problems(container_of(platform=providers.Container(inner)))

    assert "'platform.db'" in found


@pytest.mark.parametrize(
    ("modules", "problem"),
    [
        (providers.Dict(), "'modules' is empty"),
        (providers.List(), "'modules' is a List; make it providers.Dict"),
    ],
)
def test_modules_are_registered_in_a_dict(modules, problem):
    """The key is the module's name everywhere."""
    (found,) = wiring_problems(container_of(modules=modules))

    assert problem in found


def test_a_container_of_another_kind_is_refused():
    """It has nothing to run."""
    assert wiring_problems(containers.DynamicContainer()) == [
        "the container has no 'modules'; subclass orchestrator.Container"
    ]
