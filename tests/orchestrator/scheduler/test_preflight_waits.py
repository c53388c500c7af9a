"""Phase 1 is strict: short waits for what passes by itself, none for what nobody knows."""

import anyio
import pytest

from longrun import Category, Failure
from longrun.events import RetryScheduled, TaskFailed
from orchestrator.contracts import PreflightSpec, ServicePressure

pytestmark = pytest.mark.anyio


class FairLimiter:
    """One caller each *interval* seconds, first come first served."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._free_at = 0.0

    async def wait(self) -> None:
        mine = max(self._free_at, anyio.current_time())
        self._free_at = mine + self._interval
        await anyio.sleep_until(mine)


def waits(events) -> list[float]:
    return [event.wait for event in events.of(RetryScheduled)]


def near(curve: list[float]) -> list[object]:
    return [pytest.approx(wait, rel=0.1001) for wait in curve]


async def test_node_failures_wait_2_seconds_doubling_up_to_2_minutes(lab, events):
    """Each wait is spread by a tenth."""
    check = lab.Work(lab.raising(ConnectionRefusedError("refused")))

    await lab.scheduler(lab.Shops(PreflightSpec("check", check)), listeners=[events], preflight_deadline=500.0).check()

    assert waits(events)[:9] == near([2, 4, 8, 16, 32, 64, 120, 120, 120])


async def test_service_failures_wait_5_seconds_doubling_up_to_5_minutes(lab, events):
    """A service that asks for calm gets more of it."""
    check = lab.Work(lab.raising(ServicePressure("busy")))

    await lab.scheduler(lab.Shops(PreflightSpec("check", check)), listeners=[events], preflight_deadline=1400.0).check()

    assert waits(events)[:8] == near([5, 10, 20, 40, 80, 160, 300, 300])


async def test_the_time_limit_of_an_attempt_is_a_node_failure(lab, events):
    """Fresh for each attempt."""
    scheduler = lab.scheduler(
        lab.Shops(PreflightSpec("check", lambda _tenant: anyio.sleep(60), timeout=1)),
        listeners=[events],
        preflight_deadline=30.0,
    )

    outcome = await scheduler.check()

    assert {event.category for event in events.of(RetryScheduled)} == {Category.NODE}
    assert waits(events)[:3] == near([2, 4, 8])
    assert "took longer than 1 s" in str(outcome.pending[0])


async def test_what_nobody_knows_is_permanent(lab, events):
    """At a start a mistake is likelier than an outage."""
    check = lab.Work(lab.raising(KeyError("token")))

    outcome = await lab.scheduler(lab.Shops(PreflightSpec("check", check)), listeners=[events]).check()

    assert (outcome.status, len(check.runs), len(events.of(TaskFailed))) == ("failed", 1, 1)
    assert "KeyError is of no known kind" in str(outcome.failures[0])


async def test_a_classifier_of_the_service_is_asked(lab):
    """What it knows to be a node failure is tried again."""
    answers = iter([KeyError("not yet there"), None])

    async def answer(_tenant: object) -> None:
        error = next(answers)
        if error is not None:
            raise error

    def classify(error: BaseException) -> Failure | None:
        return Failure(Category.NODE) if isinstance(error, KeyError) else None

    outcome = await lab.scheduler(lab.Shops(PreflightSpec("check", answer)), classify=classify).check()

    assert outcome.status == "passed"


async def test_eight_tenants_behind_a_slow_limiter_all_pass_within_their_timeouts(lab):
    """One request a second and a 5 s timeout: the limiter is waited for outside the timeout."""
    limiter = FairLimiter(1.0)

    async def behave(_tenant: object) -> None:
        await limiter.wait()
        with anyio.fail_after(5):
            await anyio.sleep(0.2)

    check = lab.Work(behave)
    shops = lab.Shops(PreflightSpec("check", check), tenants=tuple(range(8)))

    outcome = await lab.scheduler(shops).check()

    assert (outcome.status, outcome.passed, len(check.runs)) == ("passed", 8, 8)
    assert anyio.current_time() == pytest.approx(7.2, abs=0.1)


async def test_a_gate_parks_every_preflight_that_shares_the_credential(lab):
    """One tenant's wait hint keeps the others of the same gate from asking; another gate stays open."""
    first = [ServicePressure("slow down", retry_after=60.0)]

    async def behave(tenant: str) -> None:
        if first:
            raise first.pop()

    check, other = lab.Work(behave), lab.Work()
    shops = lab.Shops(
        PreflightSpec("check", check, gate="token-1"),
        PreflightSpec("other", other, gate="token-2"),
        tenants=("a", "b", "c"),
    )

    outcome = await lab.scheduler(shops, preflight_concurrency=1).check()

    assert outcome.status == "passed"
    assert sorted(at >= 60 for _, at in check.runs) == [False, True, True, True]
    assert max(at for _, at in other.runs) < 1
