"""One life of a service: open, phases, close in reverse; whatever fails, what was opened is closed."""

import anyio
import pytest
from dependency_injector import providers

from longrun.testing import virtual_backend
from orchestrator import Container, Managed, Service, Settings
from orchestrator.cli.failures import report
from orchestrator.container import BuildError, WiringError
from orchestrator.contracts import Module, PermanentFailure, PreflightSpec, WorkerSpec
from orchestrator.life import Life
from orchestrator.planner import PlanError
from orchestrator.settings.sections import OrchestratorSection

pytestmark = pytest.mark.anyio

EVENTS: list[str] = []


@pytest.fixture
def anyio_backend(anyio_backend):
    """In virtual time."""
    return virtual_backend(anyio_backend)


@pytest.fixture(autouse=True)
def events():
    """What happened, in order."""
    EVENTS.clear()
    return EVENTS


class Misplaced(Exception):
    """An error that was made for the user."""

    exit_code = 2


class Part:
    """A managed object that tells when it is opened and closed."""

    def __init__(self, name, *needs, error=None, wait=0.0):
        self.name, self.error, self.wait = name, error, wait

    async def __aenter__(self):
        await anyio.sleep(self.wait)
        if self.error is not None:
            raise self.error
        EVENTS.append(f"open {self.name}")
        return self

    async def __aexit__(self, *exc_info):
        EVENTS.append(f"close {self.name}")


class Grouped(Part):
    """A managed object that holds a task group; *fails_after*: its background task raises then."""

    def __init__(self, name, *needs, fails_after=None):
        super().__init__(name)
        self.fails_after = fails_after

    async def __aenter__(self):
        self.group = anyio.create_task_group()
        await self.group.__aenter__()
        if self.fails_after is not None:
            self.group.start_soon(self.fail)
        return await super().__aenter__()

    async def __aexit__(self, *exc_info):
        await super().__aexit__(*exc_info)
        self.group.cancel_scope.cancel()
        return await self.group.__aexit__(*exc_info)

    async def fail(self):
        await anyio.sleep(self.fails_after)
        raise Misplaced("the background task of the group broke")


class Says:
    def __init__(self, spec):
        self.spec = spec

    def task_spec(self):
        return self.spec


class Shops(Module[str]):
    def __init__(self, name="shops", part=None, *, check=None, work=None, shutdown=None):
        self.name, self._check, self._work, self._shutdown = name, check, work, shutdown

    def tenants(self):
        return ["a"]

    def preflights(self):
        return [Says(PreflightSpec(f"{self.name}-check", self.check))]

    def workers(self):
        return [Says(WorkerSpec(f"{self.name}-work", 10, self.work))]

    async def check(self, tenant):
        EVENTS.append(f"check {self.name}")
        if self._check is not None:
            await self._check()

    async def work(self, tenant):
        EVENTS.append(f"work {self.name}")
        if self._work is not None:
            await self._work()

    async def shutdown(self):
        EVENTS.append(f"shutdown {self.name}")
        if self._shutdown is not None:
            await self._shutdown()


def raises(error):
    async def fail(*_args):
        raise error

    return fail


def life_of(container, *, hooks=None, on_stuck=None, **policy):
    """A life of a service with *container*; *hooks* are what its hooks do."""
    hooks = hooks or {}

    def hook(name):
        async def run(_self):
            EVENTS.append(name)
            if name in hooks:
                await hooks[name]()

        return run

    members = {name: hook(name) for name in ("on_start", "on_ready", "on_stop")}
    service = type("Whole", (Service,), {"container": container, **members})
    return Life(service, Settings(orchestrator=OrchestratorSection(splay=False, **policy)), on_stuck=on_stuck)


class Pair(Container):
    """The container of most tests."""

    one = Managed(Part, "one")
    two = Managed(Part, "two", one)
    modules = providers.Dict(shops=providers.Singleton(Shops, "shops", two))


def pair(first=None, second=None, **module):
    """:class:`Pair` with other parts, and a module that does something."""
    one = first or Managed(Part, "one")
    two = Managed(Part, "two", one, **(second or {}))
    shops = providers.Singleton(Shops, "shops", two, **module)
    return type("Pair", (Container,), {"one": one, "two": two, "modules": providers.Dict(shops=shops)})


async def test_everything_is_opened_before_and_closed_behind_the_phases_in_reverse(events):
    """Managed objects, hooks, preflights, workers, and the same way back."""
    outcome = await life_of(Pair).run(once=True)

    assert outcome.exit_code == 0
    assert events == [
        "open one",
        "open two",
        "on_start",
        "check shops",
        "on_ready",
        "work shops",
        "on_stop",
        "shutdown shops",
        "close two",
        "close one",
    ]


async def test_a_check_calls_no_worker_and_is_never_ready(events):
    """Phase 1 alone, between the same opening and closing."""
    outcome = await life_of(Pair).check()

    assert outcome.status == "passed"
    assert events[2:6] == ["on_start", "check shops", "on_stop", "shutdown shops"]
    assert "on_ready" not in events


async def test_a_failed_preflight_closes_everything(events):
    """Exit code 1; never ready."""
    outcome = await life_of(pair(check=raises(PermanentFailure("gone")))).run()

    assert outcome.exit_code == 1
    assert events[3:] == ["check shops", "on_stop", "shutdown shops", "close two", "close one"]


async def test_run_for_drains_so_long_after_the_preflights(events):
    """The preflights do not count."""
    outcome = await life_of(pair(check=lambda: anyio.sleep(100))).run(seconds=25)

    assert (outcome.exit_code, outcome.reason, anyio.current_time()) == (0, "ran for 25 s", 125)
    assert events.count("work shops") == 3


async def test_an_error_while_opening_opens_nothing_else(events, capsys):
    """What was open is closed; an error that was made for the user leaves with its own code."""
    life = life_of(pair(second={"error": Misplaced("no such file: shop.db")}))

    with pytest.raises(Misplaced) as caught:
        await life.run()

    assert events == ["open one", "close one"]
    assert report(caught.value) == 2
    assert capsys.readouterr().err.startswith("error: no such file: shop.db\n  while opening 'two' (")


async def test_an_error_that_a_task_group_has_wrapped_keeps_its_exit_code(events, capsys):
    """A managed object that holds a task group turns the error into a group of one."""
    life = life_of(pair(first=Managed(Grouped, "one"), second={"error": Misplaced("no such file")}))

    with pytest.raises(ExceptionGroup) as caught:
        await life.run()

    assert events == ["open one", "close one"]
    assert report(caught.value) == 2
    assert "error: no such file\n" in capsys.readouterr().err


async def test_a_background_task_that_breaks_ends_the_phases_before_anything_is_closed(events):
    """Runs in flight are cancelled, then hooks and managed objects follow as always."""

    async def work():
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(1)
            events.append("work has ended")

    life = life_of(pair(first=Managed(Grouped, "one", fails_after=15), work=work))

    with pytest.raises(ExceptionGroup) as caught:
        await life.run()

    assert caught.group_contains(Misplaced)
    assert events[5:] == ["work shops", "work has ended", "on_stop", "shutdown shops", "close two", "close one"]


async def test_a_stop_while_opening_is_cancelled(events):
    """Exit code 3: what was open is closed, no preflight is tried, no hook is called."""
    life = life_of(pair(second={"wait": 1000}))

    async with anyio.create_task_group() as tg:

        async def stop():
            await anyio.sleep(5)
            life.stop("SIGTERM")

        tg.start_soon(stop)
        outcome = await life.run()

    assert (outcome.exit_code, outcome.preflights.status, outcome.preflights.never_started) == (3, "cancelled", 1)
    assert events == ["open one", "close one"]
    assert anyio.current_time() == 5


async def test_a_stop_in_the_last_step_of_opening_is_not_lost(events):
    """on_start had returned without noticing: on_stop is called, and the outcome is cancelled."""

    async def on_start():
        life.stop("SIGTERM")

    life = life_of(Pair, hooks={"on_start": on_start})

    outcome = await life.run()

    assert (outcome.exit_code, outcome.preflights.status) == (3, "cancelled")
    assert events == ["open one", "open two", "on_start", "on_stop", "shutdown shops", "close two", "close one"]


async def test_a_stop_while_getting_ready_starts_no_worker(events):
    """The preflights have passed: the exit code is 0."""

    async def on_ready():
        life.stop("SIGTERM")
        await anyio.sleep(1)

    life = life_of(Pair, hooks={"on_ready": on_ready})

    outcome = await life.run()

    assert (outcome.exit_code, outcome.reason) == (0, "SIGTERM")
    assert "work shops" not in events
    assert events[-1] == "close one"


async def test_a_stop_while_closing_changes_nothing(events):
    """A signal that comes late."""

    async def on_stop():
        life.stop("SIGTERM")
        await anyio.sleep(1)

    life = life_of(Pair, hooks={"on_stop": on_stop})

    outcome = await life.run(once=True)

    assert (outcome.exit_code, outcome.reason) == (0, None)
    assert events[-4:] == ["on_stop", "shutdown shops", "close two", "close one"]


async def test_on_start_that_raises_ends_the_start(events):
    """Its error comes out as it is; on_stop is not called, what was open is closed."""
    life = life_of(Pair, hooks={"on_start": raises(Misplaced("no licence"))})

    with pytest.raises(Misplaced, match="no licence"):
        await life.run()

    assert events == ["open one", "open two", "on_start", "close two", "close one"]


async def test_on_ready_that_raises_ends_the_service(events):
    """No worker starts, everything is closed."""
    life = life_of(Pair, hooks={"on_ready": raises(Misplaced("port taken"))})

    with pytest.raises(ExceptionGroup) as caught:
        await life.run()

    assert caught.group_contains(Misplaced)
    assert events[4:] == ["on_ready", "on_stop", "shutdown shops", "close two", "close one"]


async def test_on_stop_that_raises_does_not_keep_the_modules_from_closing(events):
    """Its error comes out when everything is closed."""
    life = life_of(Pair, hooks={"on_stop": raises(Misplaced("flush failed"))})

    with pytest.raises(Misplaced, match="flush failed"):
        await life.run(once=True)

    assert events[-4:] == ["on_stop", "shutdown shops", "close two", "close one"]


async def test_modules_are_shut_down_last_first_and_one_that_raises_does_not_stop_the_others(events, caplog):
    """The failure is logged with the module's name."""

    class Three(Container):
        modules = providers.Dict(
            first=providers.Singleton(Shops, "first"),
            second=providers.Singleton(Shops, "second", shutdown=raises(RuntimeError("broken"))),
            third=providers.Singleton(Shops, "third"),
        )

    outcome = await life_of(Three).run(once=True)

    assert outcome.exit_code == 0
    assert events[-3:] == ["shutdown third", "shutdown second", "shutdown first"]
    assert "shutdown() of module 'second' failed" in caplog.text


async def test_a_hook_that_hangs_is_cancelled_and_the_others_have_their_turn(events, caplog):
    """Each has an equal share of the shutdown timeout."""
    life = life_of(Pair, hooks={"on_stop": anyio.sleep_forever}, shutdown_timeout=20.0)

    outcome = await life.run(once=True)

    assert (outcome.exit_code, anyio.current_time()) == (0, 10)
    assert events[-4:] == ["on_stop", "shutdown shops", "close two", "close one"]
    assert "on_stop() did not end within its 10 s and was cancelled" in caplog.text


async def test_a_run_that_ignores_its_cancellation_does_not_keep_the_service_from_closing(events):
    """Hooks and managed objects have had their turn when the stuck run is told."""

    async def stubborn():
        with anyio.CancelScope(shield=True):
            await anyio.sleep(500)
        events.append("the stubborn run has ended")

    def on_stuck(names):
        events.append(f"stuck: {', '.join(names)}")

    life = life_of(pair(work=stubborn), on_stuck=on_stuck, shutdown_timeout=10.0)

    outcome = await life.run(seconds=5)

    assert (outcome.exit_code, outcome.abandoned) == (4, ("worker:shops-work:a",))
    assert events[5:] == [
        "work shops",
        "on_stop",
        "shutdown shops",
        "close two",
        "close one",
        "stuck: worker:shops-work:a",
        "the stubborn run has ended",
    ]


async def test_a_cancellation_from_outside_closes_everything_and_goes_on(events):
    """An embedding program's own deadline."""
    life = life_of(pair(work=anyio.sleep_forever))

    with anyio.move_on_after(5) as scope:
        await life.run()

    assert scope.cancelled_caught
    assert events[5:] == ["work shops", "on_stop", "shutdown shops", "close two", "close one"]


async def test_what_is_wrong_with_the_parts_is_found_before_anything_is_opened(events):
    """Wiring, building and planning, each with its own error of exit code 2."""
    unwired = type("Unwired", (Container,), {"modules": providers.Dict(shops=providers.Singleton(Shops, nmae="x"))})
    unbuilt = type("Unbuilt", (Container,), {"modules": providers.Dict(shops=providers.Singleton(int, "x"))})
    unplanned = type("Unplanned", (Container,), {"modules": providers.Dict(shops=providers.Singleton(Shops, "No!"))})

    for container, error in ((unwired, WiringError), (unbuilt, BuildError), (unplanned, PlanError)):
        with pytest.raises(error) as caught:
            life_of(container)
        assert report(caught.value) == 2
    assert events == []
