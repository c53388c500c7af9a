"""A registry of temporary errors: what it means, how it changes, and rules that hold it meanwhile."""

import errno
import socket
from asyncio import IncompleteReadError
from threading import Thread

import anyio
import pytest

import longrun
from longrun import retry
from longrun.backoff import constant
from longrun.testing import Script

pytestmark = pytest.mark.anyio


class Busy(Exception):
    """A failure of the test's own."""


class VeryBusy(Busy):
    """And a kind of it."""


class Broken(Exception):
    """Another failure."""


def test_an_empty_registry_means_no_error() -> None:
    """Nothing is temporary until somebody says so."""
    registry = retry.Registry()

    assert not registry.contains(Busy())
    assert Busy not in registry
    assert len(registry) == 0
    assert list(registry) == []


def test_a_class_means_its_subclasses_too() -> None:
    """Not its superclasses, and nothing beside it."""
    registry = retry.Registry("github", Busy)

    assert registry.contains(VeryBusy())
    assert VeryBusy in registry
    assert Exception not in registry
    assert Broken() not in registry


def test_an_instance_is_meant_by_identity_and_a_predicate_is_asked() -> None:
    """All that retry.on takes can be registered, in tuples too."""
    one = Broken("this one")
    registry = retry.Registry("mixed", (one, lambda error: str(error) == "later"))

    assert registry.contains(one)
    assert not registry.contains(Broken("this one"))
    assert registry.contains(ValueError("later"))


def test_registering_twice_keeps_one() -> None:
    """It is a set: taking out once takes out."""
    registry = retry.Registry().register(Busy, Busy).register(Busy)

    assert len(registry) == 1

    registry.unregister(Busy)

    assert Busy not in registry


def test_unregistering_takes_out_exactly_what_is_named() -> None:
    """A class takes no other class with it, and what is not there is not missed."""
    registry = retry.Registry("r", VeryBusy, Broken)

    registry.unregister(Busy, KeyError)

    assert list(registry) == [VeryBusy, Broken]


def test_clean_takes_out_everything() -> None:
    """And the registry can be filled again."""
    registry = retry.Registry("r", Busy, Broken)

    registry.clean()

    assert len(registry) == 0
    assert not registry.contains(Busy())
    assert registry.register(Busy).contains(Busy())


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(), ConnectionResetError(), BrokenPipeError(), ConnectionAbortedError(),
        socket.gaierror(-3, "Temporary failure in name resolution"), EOFError(), IncompleteReadError(b"", 4),
        TimeoutError(), longrun.TimeoutExceeded(3), anyio.EndOfStream(), anyio.BrokenResourceError(),
        anyio.IncompleteRead(), OSError(errno.ENETUNREACH, "out of reach"), OSError(errno.EHOSTUNREACH, "no route"),
    ],
    ids=repr,
)  # fmt: skip
def test_the_defaults_are_the_failures_of_a_network(error: Exception) -> None:
    """Connections, DNS, ends of streams, time-outs."""
    assert retry.Registry().load_defaults().contains(error)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), FileNotFoundError(), ValueError(), Busy()], ids=repr)
def test_the_defaults_mean_nothing_else(error: Exception) -> None:
    """A full disk does not pass by itself."""
    assert not retry.Registry().load_defaults().contains(error)


def test_loading_the_defaults_adds_once() -> None:
    """What is registered stays, and a second time changes nothing."""
    registry = retry.Registry("r", Busy).load_defaults()
    size = len(registry)

    registry.load_defaults()

    assert len(registry) == size
    assert Busy in registry


def test_an_error_that_equals_another_is_not_that_other() -> None:
    """Foreign equality says nothing about identity."""

    class Equal(Exception):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = Exception.__hash__

    one, two = Equal(), Equal()
    registry = retry.Registry("r", one)

    registry.register(two).unregister(two)

    assert list(registry) == [one]
    assert next(iter(registry)) is one


def test_cancellation_and_exit_are_refused() -> None:
    """Nothing of what was given with them is registered."""
    registry = retry.Registry()

    with pytest.raises(longrun.PipelineError, match="KeyboardInterrupt"):
        registry.register(Busy, KeyboardInterrupt)

    assert len(registry) == 0


@pytest.mark.parametrize("nonsense", [3, "ConnectionError", None, ()], ids=repr)
def test_what_is_no_error_is_refused(nonsense: object) -> None:
    """By name and value; an empty tuple adds nothing."""
    registry = retry.Registry()
    if nonsense == ():
        assert len(registry.register(())) == 0
    else:
        with pytest.raises(longrun.PipelineError, match=r"retry\.on was given"):
            registry.register(nonsense)  # type: ignore[arg-type]  # the point of the test


def test_a_registry_holds_no_registry() -> None:
    """A rule takes both; a set of sets could contain itself."""
    registry = retry.Registry()

    with pytest.raises(longrun.PipelineError, match=r"retry\.on\(\(a, b\)\)"):
        registry.register(registry)


@pytest.mark.parametrize("name", ["", 3, None])
def test_a_registry_has_a_name(name: object) -> None:
    """It stands in the words of pipelines and timelines."""
    with pytest.raises(longrun.PipelineError, match="short text"):
        retry.Registry(name)  # type: ignore[arg-type]  # the point of the test


async def test_a_rule_sees_what_is_registered_later() -> None:
    """The pipeline is built once, the registry goes on living."""
    registry = retry.Registry("live")
    policy = longrun.Pipeline(retry.on(registry, 3, constant(1)))
    before, after, removed = Script(Busy(), "ok"), Script(Busy(), "ok"), Script(Busy(), "ok")

    with pytest.raises(Busy):
        await policy.do(before)
    registry.register(Busy)
    result = await policy.do(after)
    registry.unregister(Busy)
    with pytest.raises(Busy):
        await policy.do(removed)

    assert result == "ok"
    assert (before.calls, after.calls, removed.calls) == (1, 2, 1)


async def test_a_registry_stands_beside_other_errors_in_one_rule() -> None:
    """A tuple unites; one budget serves all of it."""
    registry = retry.Registry("github", Busy)
    work = Script(Busy(), Broken(), "ok")

    result = await longrun.do(work, retry.on((registry, Broken), 2, constant(1)))

    assert result == "ok"
    assert work.calls == 3


async def test_every_leaf_of_a_group_is_looked_up() -> None:
    """One that is not temporary stops."""
    registry = retry.Registry("github", Busy)
    passing, fatal = (
        Script(ExceptionGroup("g", [Busy(), VeryBusy()]), "ok"),
        Script(ExceptionGroup("g", [Busy(), Broken()])),
    )

    assert await longrun.do(passing, retry.on(registry, 2, constant(0))) == "ok"
    with pytest.raises(ExceptionGroup):
        await longrun.do(fatal, retry.on(registry, 2, constant(0)))

    assert fatal.calls == 1


async def test_a_rejection_is_retried_only_when_its_class_is_registered() -> None:
    """The same rule as for retry.on: a registry that means all Exceptions does not mean an open circuit."""
    wide, named = retry.Registry("wide", Exception), retry.Registry("named", longrun.CircuitOpen)
    refused, retried = Script(longrun.CircuitOpen("open")), Script(longrun.CircuitOpen("open"), "ok")

    with pytest.raises(longrun.CircuitOpen):
        await longrun.do(refused, retry.on(wide, 3, constant(0)))
    result = await longrun.do(retried, retry.on(named, 3, constant(0)))

    assert refused.calls == 1
    assert result == "ok"


def test_the_pipeline_names_the_registry() -> None:
    """In words, before anything runs."""
    policy = longrun.Pipeline(retry.on(retry.Registry("github", Busy), 2, constant(1)))

    assert "on registry 'github': up to 2 times" in policy.describe()


def test_threads_may_change_it_while_others_ask() -> None:
    """Nobody ever sees half a change, and no registration is lost."""
    registry = retry.Registry("threads", Busy)
    kinds = [type(f"Kind{number}", (Exception,), {}) for number in range(40)]
    misses: list[int] = []

    def change(mine: list[type[Exception]]) -> None:
        for kind in mine:
            registry.register(kind)
            registry.unregister(Broken).register(Broken)

    def ask() -> None:
        misses.extend(1 for _ in range(2000) if not registry.contains(Busy()))

    threads = [Thread(target=change, args=(kinds[start::4],)) for start in range(4)] + [Thread(target=ask)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not misses
    assert all(kind in registry for kind in kinds)
    assert len(registry) == 42
