"""Wait hints: what an error, or a response, asks the caller to wait at least."""

from typing import Any

import anyio
import pytest

import longrun
from longrun import retry
from longrun.backoff import constant, exponential
from longrun.errors import CircuitOpen
from longrun.events import RetryScheduled
from longrun.testing import RecordingListener, Script

pytestmark = pytest.mark.anyio


class Busy(Exception):
    """A failure that asks for calm."""

    def __init__(self, retry_after: Any = None) -> None:
        super().__init__("busy")
        self.retry_after = retry_after


async def waited(error: Exception, *options: longrun.Option) -> float:
    """Seconds between the first and the second call."""
    work = Script(error, "ok")
    await longrun.do(work, *options)
    return work.started[1] - work.started[0]


@pytest.mark.parametrize("hint", [7, 7.5, 0.25])
async def test_a_hint_takes_the_place_of_the_curve(hint: float) -> None:
    """Whether the curve would have waited shorter or longer, the hint is what is waited."""
    assert await waited(Busy(hint), retry.on(Busy, 3, constant(1))) == pytest.approx(hint)
    assert await waited(Busy(hint), retry.on(Busy, 3, constant(1000))) == pytest.approx(hint)


async def test_a_hint_is_spread_upward_only() -> None:
    """ "At least" is what was asked for: jitter makes it longer, never shorter."""
    waits = [await waited(Busy(100), retry.on(Busy, 3, exponential(1, 30, jitter=0.2))) for _ in range(50)]

    assert min(waits) >= 100
    assert max(waits) <= 120
    assert len(set(waits)) == 50


async def test_the_curve_goes_on_counting_behind_a_hint() -> None:
    """After two hinted waits the third takes the curve's third place."""
    work = Script(Busy(5), Busy(5), Busy(), "ok")

    await longrun.do(work, retry.on(Busy, 5, exponential(1, 60, jitter=0)))

    gaps = [after - before for before, after in zip(work.started, work.started[1:], strict=False)]
    assert gaps == pytest.approx([5, 5, 4])


async def test_of_several_leaves_the_longest_hint_counts() -> None:
    """A group waits until the last of them is content."""
    group = ExceptionGroup("g", [Busy(3), ExceptionGroup("h", [Busy(8)]), Busy()])

    assert await waited(group, retry.on(Busy, 3, constant(1))) == pytest.approx(8)


async def test_a_named_refusal_waits_until_the_circuit_may_close() -> None:
    """``CircuitOpen.retry_after`` is a hint like any other."""
    assert await waited(CircuitOpen("open", 9.0), retry.on(CircuitOpen, 3, constant(1))) == pytest.approx(9)


class RaisingProperty(Exception):
    @property
    def retry_after(self) -> float:
        raise RuntimeError("no such header")


class AMethod(Exception):
    def retry_after(self) -> float:
        return 50.0


@pytest.mark.parametrize(
    "error",
    [*map(Busy, (float("nan"), -1, -0.001, True, False, "50", b"5", [5], None, 0, 0.0)), RaisingProperty(), AMethod()],
    ids=lambda error: f"{type(error).__name__}-{error.__dict__.get('retry_after', '')!r}",
)
async def test_a_hint_that_cannot_be_meant_is_ignored(error: Exception) -> None:
    """NaN, negatives, booleans, texts, methods and raising properties leave the curve as it is."""
    assert await waited(error, retry.on(Exception, 3, constant(2))) == pytest.approx(2)


async def test_nonsense_is_reported_once_per_type(caplog: pytest.LogCaptureFixture) -> None:
    """One warning names the type and the value; the next thousand failures are silent."""

    class Nonsense(Exception):
        retry_after = "soon"

    for _ in range(3):
        await waited(Nonsense(), retry.on(Nonsense, 3, constant(1)))

    said = [record.getMessage() for record in caplog.records if "Nonsense" in record.getMessage()]
    assert len(said) == 1
    assert "'soon'" in said[0]
    assert "seconds as a number" in said[0]


@pytest.mark.parametrize("hint", [3600.5, float("inf"), 10**400], ids=["above", "inf", "huge"])
async def test_a_hint_beyond_the_cap_stops_at_once(hint: float) -> None:
    """Retrying earlier than asked would be rude, waiting that long useless: the original error comes out."""
    failure = Busy(hint)
    work = Script(failure)

    with pytest.raises(Busy) as caught:
        await longrun.do(work, retry.on(Busy, 3, constant(1)))

    assert caught.value is failure
    assert work.calls == 1
    assert "above the cap of 3600 s" in longrun.timeline(failure)[-1].reason


async def test_the_cap_of_hints_is_the_rules_own() -> None:
    """A hint right at the cap is still waited."""
    assert await waited(Busy(60), retry.on(Busy, 3, constant(1), hint_cap=60)) == pytest.approx(60)
    with pytest.raises(Busy):
        await waited(Busy(61), retry.on(Busy, 3, constant(1), hint_cap=60))


async def test_a_hint_beyond_the_deadline_stops_at_once() -> None:
    """The wait would end after the deadline: the original error comes out now, not a time-out later."""
    started = anyio.current_time()

    with pytest.raises(Busy):
        await longrun.do(Script(Busy(31)), longrun.timeout.after(30), retry.on(Busy, 3, constant(1)))

    assert anyio.current_time() == started


async def test_an_event_tells_the_hint(events: RecordingListener) -> None:
    """Who reads the log sees what the other side asked for beside what is waited."""
    await waited(Busy(7), retry.on(Busy, 3, constant(1)), longrun.observe(events))

    scheduled = events.of(RetryScheduled)[0]
    assert (scheduled.hint, scheduled.wait) == (7.0, 7.0)
