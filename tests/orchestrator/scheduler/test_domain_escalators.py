"""A domain's own word about its stalled runs: what it is told, what it may say, and what becomes of nonsense."""

import anyio
import pytest

from longrun.events import (
    EscalatorFailed,
    KillOrdered,
    RunExtended,
    RunNudged,
)
from orchestrator.contracts import ExtendBy, Kill, Nudge, Stall, WorkerSpec
from orchestrator.scheduler.event_log import EventLog
from tests.orchestrator.scheduler.hanging import Hanging, ended, told_of

pytestmark = pytest.mark.anyio


async def test_a_domain_is_told_about_its_stalled_run(lab):
    """By value: who, which attempt, how long, how silent, how long it still has, and what it has had so far."""
    seen = []

    async def escalate(run) -> Nudge | None:
        seen.append(run)
        return Nudge("hurry") if len(seen) == 1 else None

    work, _ = await told_of(lab, Stall(expected=20, idle=15, escalate=escalate, tick=10), progress=18)

    first, second = seen[:2]
    assert (first.id, first.task, first.attempt) == (work.ids[0], "worker:poll:bad", 1)
    assert (first.elapsed, first.idle_for, first.left, first.note) == (15, 15, 25, None)
    assert (first.nudges, first.extensions, second.nudges) == (0, 0, 1)
    assert (second.elapsed, second.idle_for, second.note) == (pytest.approx(25, abs=0.1), pytest.approx(7), "page 0")


@pytest.mark.parametrize("nothing", [None, (), [], [None], ((), [None])], ids=repr)
async def test_a_domain_that_decides_nothing_leaves_it_to_the_deadline(lab, nothing):
    """Asked again every tick until then; no failure of anybody."""
    asked = []

    async def escalate(_run) -> object:
        asked.append(anyio.current_time())
        return nothing

    work, events = await told_of(lab, Stall(expected=20, escalate=escalate, tick=5, backstop=3))

    assert asked == [pytest.approx(20 + 5 * tick, abs=0.1) for tick in range(8)]
    assert (work.ended["bad"], [by for by, _ in ended(events)]) == (pytest.approx(60, abs=0.1), ["deadline"])
    assert events.of(EscalatorFailed) == []


async def test_a_domain_may_nudge(lab):
    """The work finds it in its run, the listeners hear of it."""

    async def escalate(run) -> Nudge:
        return Nudge(f"word {run.nudges + 1}")

    work, events = await told_of(lab, Stall(expected=20, escalate=escalate, tick=8))

    assert work.nudges == ("word 1", "word 2", "word 3")
    assert [nudge.message for nudge in events.of(RunNudged)] == list(work.nudges)


async def test_a_domain_may_extend_again_and_again(lab):
    """Until it has had enough; without a ceiling nothing else ends the run."""

    async def escalate(run) -> ExtendBy | Kill:
        return ExtendBy(25) if run.extensions < 4 else Kill("four times are enough")

    work, events = await told_of(lab, Stall(expected=20, escalate=escalate, tick=20))

    assert len(events.of(RunExtended)) == 4
    assert ended(events) == [("escalator", "four times are enough")]
    assert work.ended["bad"] == pytest.approx(100, abs=0.1)


async def test_a_domain_may_say_several_things_at_once(lab):
    """A nudge and an extension both take effect, of two extensions the longest."""

    async def escalate(run) -> object:
        return [Nudge("one"), (ExtendBy(30), ExtendBy(50)), Nudge("two")] if not run.nudges else None

    work, events = await told_of(lab, Stall(expected=20, escalate=escalate))

    assert work.nudges == ("one", "two")
    assert [extended.seconds for extended in events.of(RunExtended)] == [50]
    assert work.ended["bad"] == pytest.approx(70, abs=0.1)


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_kill_beats_whatever_is_said_beside_it(lab, place):
    """Wherever it stands."""
    said = [Nudge("hurry"), ExtendBy(500)]
    said.insert(place, Kill("enough"))

    async def escalate(_run) -> object:
        return tuple(said)

    work, events = await told_of(lab, Stall(expected=20, escalate=escalate))

    assert ended(events) == [("escalator", "enough")]
    assert (events.of(RunNudged), events.of(RunExtended)) == ([], [])
    assert work.ended["bad"] == pytest.approx(20, abs=0.1)


async def test_an_extension_of_nothing_is_none(lab):
    """0 or less, and one that ends before the deadline does: the run keeps what it has."""

    async def escalate(run) -> ExtendBy:
        return ExtendBy(min(0.0, 21 - run.elapsed))

    work, events = await told_of(lab, Stall(expected=20, escalate=escalate, tick=5))

    assert (events.of(RunExtended), events.of(EscalatorFailed)) == ([], [])
    assert work.ended["bad"] == pytest.approx(40, abs=0.1)


def raises(_run) -> object:
    raise LookupError("no answer")


def looping(_run) -> object:
    endless: list = []
    endless.append(endless)
    return endless


NONSENSE = {
    "raises": raises,
    "a number": lambda _run: 42,
    "True": lambda _run: True,
    "a text": lambda _run: "kill",
    "bytes": lambda _run: b"kill",
    "a class": lambda _run: Kill,
    "a mapping": lambda _run: {"kill": "enough"},
    "a set": lambda _run: {Kill("enough")},
    "one wrong among right ones": lambda _run: [Nudge("hurry"), "kill"],
    "a list that holds itself": looping,
    "an empty nudge": lambda _run: Nudge("  "),
    "an empty reason": lambda _run: Kill(""),
    "a reason that is no text": lambda _run: Kill(None),
    "NaN seconds": lambda _run: ExtendBy(float("nan")),
    "endless seconds": lambda _run: ExtendBy(float("inf")),
    "seconds as text": lambda _run: ExtendBy("60"),
}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE.keys())
async def test_nonsense_is_told_and_the_run_keeps_its_deadline(lab, caplog, answer):
    """Nothing of it takes effect, not even the parts that make sense; after three times nobody is asked any more."""
    asked = []

    async def escalate(run) -> object:
        asked.append(run.id)
        return answer(run)

    work, events = await told_of(lab, Stall(expected=20, escalate=escalate))

    failed = events.of(EscalatorFailed)
    assert (len(failed), len(asked)) == (3, 3)
    assert {(failure.subject, failure.run) for failure in failed} == {("worker:poll:bad", work.ids[0])}
    assert "escalate" in str(failed[0].error)
    assert "the run keeps its deadline" in str(failed[0].error)
    assert (work.ended["bad"], work.nudges) == (pytest.approx(40, abs=0.1), ())
    assert [by for by, _ in ended(events)] == ["deadline"]


async def test_what_is_wrong_with_an_answer_is_in_the_log_with_its_unit(lab, caplog):
    """One line at ERROR for each failure: what it gave, and what it has to give."""

    async def escalate(_run) -> int:
        return 42

    shops = lab.Shops(WorkerSpec("poll", 30, Hanging("bad"), stall=Stall(10, escalate=escalate)), tenants=("bad",))

    await lab.run_for(25, lab.scheduler(shops, splay=False, listeners=[EventLog()]))

    lines = [line for line in caplog.records if line.message == "escalator.failed"]
    assert len(lines) == 3
    assert (lines[0].levelname, lines[0].resource, lines[0].tenant) == ("ERROR", "poll", "bad")
    assert "it gave 42; give a Nudge, an ExtendBy, a Kill" in lines[0].caused_by


async def test_a_domains_escalator_that_hangs_is_not_waited_for(lab):
    """Given up after 5 s, three times at most; the run keeps its deadline."""

    async def escalate(_run) -> None:
        await anyio.sleep_forever()

    work, events = await told_of(lab, Stall(expected=20, escalate=escalate))

    assert len(events.of(EscalatorFailed)) == 3
    assert work.ended["bad"] == pytest.approx(40, abs=0.1)


async def test_a_domains_escalator_that_ignores_its_cancellation_harms_nobody(lab):
    """It still runs when the run's deadline comes; the deadline counts."""

    async def escalate(_run) -> Kill:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(90)
        return Kill("far too late")

    work, events = await told_of(lab, Stall(expected=20, escalate=escalate))

    assert [by for by, _ in ended(events)] == ["deadline"]
    assert work.ended["bad"] == pytest.approx(40, abs=0.1)


async def test_a_plain_function_cannot_escalate(lab):
    """It is called, its answer is no awaitable: told like any other nonsense."""

    def escalate(_run) -> Kill:
        return Kill("at once")

    _, events = await told_of(lab, Stall(expected=20, escalate=escalate))

    assert len(events.of(EscalatorFailed)) == 3
    assert [by for by, _ in ended(events)] == ["deadline"]


async def test_a_decision_that_comes_after_the_end_of_the_run_is_none(lab, events):
    """The consult is cancelled; the next run is not met by what was meant for the one before."""
    answered = []

    async def escalate(_run) -> Kill:
        await anyio.sleep(4)
        answered.append(anyio.current_time())
        return Kill("too late")

    work = lab.Work(lambda _tenant: anyio.sleep(12))
    spec = WorkerSpec("poll", 13, work, stall=Stall(expected=10, escalate=escalate))

    await lab.run_for(60, lab.scheduler(lab.Shops(spec), splay=False, listeners=[events]))

    assert (answered, events.of(KillOrdered), len(work.runs)) == ([], [], 5)


class Remembering:
    """An escalator of a domain that keeps things by run."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[str] = []
        self.forgotten: list[str] = []
        self.error = error

    async def __call__(self, run) -> Kill:
        self.asked.append(run.id)
        return Kill("stalled")

    def forget(self, run_id: str) -> None:
        self.forgotten.append(run_id)
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("error", [None, LookupError("never heard of it")], ids=["works", "raises"])
async def test_a_domains_escalator_forgets_a_run_once_it_has_ended(lab, error):
    """One that has stalled, over all attempts of it, and whatever its ``forget`` does: the worker goes on."""
    escalate = Remembering(error)

    work, _ = await told_of(lab, Stall(expected=20, escalate=escalate))

    assert escalate.asked == [work.ids[0]]
    assert escalate.forgotten == [work.ids[0]]


@pytest.mark.parametrize("how", ["removed", "the service stops"])
async def test_a_run_that_never_ends_by_itself_is_forgotten_too(lab, how):
    """It waited for a retry when its tenant was removed, or the service stopped."""
    escalate, feed, ids = Remembering(), lab.Feed(), []

    async def poll(tenant: str, run) -> None:
        if tenant == "b":
            ids.append(run.id)
            await anyio.sleep(25)
            raise ConnectionResetError("reset")

    spec = WorkerSpec("poll", 3600, poll, stall=Stall(expected=20, escalate=escalate))
    shops = lab.Shops(spec, tenants=("a", "b"), changes=feed)
    scheduler = lab.scheduler(shops, splay=False)

    async def script() -> None:
        await anyio.sleep(25.1)
        if how == "removed":
            feed.remove("b")

    await lab.run_for(25.2, scheduler, script)

    assert escalate.forgotten == [ids[0]]
