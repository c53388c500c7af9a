"""Laws of a poller's agenda: nothing that can be done waits, nothing is looked at in a hurry, nothing is forgotten."""

import logging
import math
from types import SimpleNamespace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orchestrator.inbox import Handlers
from orchestrator.inbox.store.records import Claimed, Failed, Hold, Promoted, Released, Succeeded, Swept, Turn
from orchestrator.inbox.worker.admission import BATCH, MOST_AHEAD
from orchestrator.inbox.worker.agenda import BESIDE, PROMOTE_SOON, SWEEP_INTERVAL, Agenda
from orchestrator.inbox.worker.backoff import CONTENDED_AGAIN, Backoff, Contention
from orchestrator.inbox.worker.execution import Execution
from orchestrator.inbox.worker.executions import Ended, Executions
from orchestrator.inbox.worker.limits import Rate
from orchestrator.inbox.worker.round import Done
from orchestrator.inbox.worker.routes import Routes
from orchestrator.inbox.worker.statistics import Statistics

LEASE, POLL = 60.0, 2.0

TICK = 1 / 1024

LIMITS = {
    "none": {},
    "concurrency": {"concurrency": 3},
    "rate": {"rate": Rate(5, 1.0)},
    "total": {"total": 4},
}


async def work(run):
    """Never run here: the agenda only decides."""


class AgendaMachine(RuleBasedStateMachine):
    """Rounds that bring what they like, handlers that end when they like, a database that fails, and time."""

    @initialize(
        slots=st.sampled_from([1, 10, 250]),
        most=st.sampled_from([1, 2]),
        until_idle=st.booleans(),
        limit=st.sampled_from(sorted(LIMITS)),
    )
    def start(self, slots, most, until_idle, limit):
        self.now = 1000.0
        self.most = most
        handlers = Handlers().add("mail.v1", work, **LIMITS[limit])
        if limit != "none":
            handlers.add("free.v1", work)
        self.routes = Routes(handlers)
        self.executions = Executions(slots, None, self.routes.limits, Statistics(), lambda: self.now)
        self.backoff = Backoff(lambda: 0.5)
        self.agenda = Agenda(
            None,
            self.routes,
            self.executions,
            self.backoff,
            Contention(lambda: 0.5),
            Contention(lambda: 0.5),
            most=most,
            worker_id="me",
            types=tuple(handlers.types),
            prefixes=(),
            lease=LEASE,
            until_idle=until_idle,
        )
        self.agenda.news = SimpleNamespace(interval=POLL, pulse=None)  # what it hears is none of this
        self.desk = SimpleNamespace(logger=logging.getLogger("agenda"), stopping=False)
        self.rounds = {}  # and when they were begun
        self.swept = -math.inf
        self.looked = self.now
        self.wakes = 0
        self.until_idle = until_idle
        self.woken_at = self.promoted = -math.inf
        self.made = 0
        self.ask()

    def ask(self, closing=False):
        """What the engine does whenever something has happened; a wait that follows is none that is over already."""
        open_ = self.now >= self.backoff.claim_from and not closing
        idle, ended = not self.rounds, len(self.executions.ended)
        backlog = self.agenda.hungry and self.executions.free > 0 and not self.routes.limits
        began = []
        while (found := self.agenda.next_round(self.now, self.rounds, closing=closing)) is not None:
            self.check(found, closing=closing)
            self.rounds[found] = (self.now, self.wakes)
            began.append(found)
        assert self.agenda.next_at(self.now, self.rounds, closing=closing) > self.now, "it would look in a hurry"
        if idle and ended and self.now >= self.backoff.settle_from:
            assert sum(len(each.ended) for each in began) == ended, "what has ended is stored at once"
        if idle and backlog and open_:
            assert any(each.request for each in began), "with slots free and something to claim, it claims"
        return began

    def check(self, found, *, closing):
        """A round that is begun now, beside the others."""
        assert len(self.rounds) < self.most
        assert found.ended or found.request or found.sweep or found.promote, "it is for nothing"
        if self.rounds and found.is_turn:
            assert max(len(found.ended), found.request.limit if found.request else 0) >= BESIDE
        if found.request is not None:
            self.looked = self.now
            assert not closing
            assert 0 < found.request.limit <= BATCH
            coming = found.request.limit + sum(each.request.limit for each in self.rounds if each.request)
            assert coming <= self.executions.free + (0 if self.executions.pace is None else MOST_AHEAD)
        if found.sweep:
            assert not closing
            assert self.now >= self.swept
            assert not any(each.sweep for each in self.rounds)
            held = next(iter(self.executions.held), None)
            assert held is None or held.expires > self.now, "it would bring back what is at work here"
        if found.promote:
            assert not closing
            assert not any(each.promote for each in self.rounds)

    @rule(closing=st.booleans())
    def it_is_asked(self, closing):
        self.ask(closing)

    @rule(seconds=st.sampled_from([0.01, 0.1, 1.0, 5.0, 100.0]))
    def time_passes(self, seconds):
        self.now += seconds
        self.ask()

    @rule()
    def it_sleeps_as_long_as_it_is_told(self):
        self.ask()
        until = self.agenda.next_at(self.now, self.rounds, closing=False)
        assert until > self.now
        if until < math.inf:
            self.now = until
        self.ask()
        free, open_ = self.executions.free > 0, self.now >= self.backoff.claim_from
        if free and open_ and not self.rounds and not self.routes.limits:
            assert self.now <= self.looked + POLL, "a backlog would wait for ever"

    @rule()
    def it_is_woken(self):
        self.now += TICK  # a real clock does not say the same twice
        self.wakes += 1
        self.woken_at = self.now
        self.agenda.woken(self.now)
        assert not self.agenda.idle
        self.ask()

    def one(self, place):
        """One of the rounds that are under way; when there is none, the next one."""
        while not self.rounds:
            until = self.agenda.next_at(self.now, self.rounds, closing=False)
            assert until < math.inf or self.executions.free <= 0, "it has come to a halt"
            if until == math.inf:
                return None
            self.now = until
            self.ask()
        return list(self.rounds)[place % len(self.rounds)]

    @rule(
        place=st.integers(0, 1),
        woken=st.booleans(),
        share=st.sampled_from([0.0, 0.0, 0.1, 1.0]),
        expired=st.sampled_from([0, 0, 3, 100]),
        next_in=st.sampled_from([None, 0.0, 0.5, 1000.0]),
        contended=st.booleans(),
    )
    def a_round_is_done(self, place, woken, share, expired, next_in, contended):
        if woken:
            self.it_is_woken()
        done = self.one(place)
        if done is not None:
            self.finish(done, share, expired, next_in, contended=contended)

    @rule(cycles=st.integers(2, 6), quick=st.sampled_from([1, 130, 300]), sixteenths=st.integers(0, 2))
    def a_backlog_is_worked_at(self, cycles, quick, sixteenths):
        """Each claim brings what it asks for, and some of the handlers end while the next rounds are under way."""
        self.executions.pace = 0.0001
        self.it_is_woken()
        for _ in range(cycles):
            done = self.one(0)
            if done is None:
                break
            self.now += sixteenths / 16
            self.handlers_end(quick, "succeeds")
            self.finish(done, 1.0, 0, None, contended=False)
            self.ask()

    def finish(self, done, share, expired, next_in, *, contended):  # noqa: C901 - one law after another
        """*done* is committed, and has brought this."""
        began, wakes = self.rounds.pop(done)
        claimed = []
        if done.request is not None:
            room = sum(done.request.caps.get(kind, done.request.limit) for kind in done.request.types)
            for number in range(int(share * min(room, done.request.limit))):
                self.made += 1
                kind = done.request.types[number % len(done.request.types)]
                if sum(run.type == kind for run in claimed) < done.request.caps.get(kind, math.inf):
                    claimed.append(Claimed(Hold(str(self.made), "me", 1), kind, b"1", 0, 3))
        contended = frozenset({"mail.v1"}) if contended and done.request and done.request.totals else frozenset()
        self.backoff.worked()
        self.agenda.done(
            done,
            Done(
                Turn(frozenset(), claimed, contended=contended),
                Swept(expired, 0) if done.sweep else None,
                Promoted(expired, next_in) if done.promote else None,
                None,
            ),
            self.now,
            began=began,
            closing=False,
        )
        if done.sweep:
            self.swept = began if expired == 100 else began + SWEEP_INTERVAL
        for run in claimed:
            execution = Execution(run, self.routes.find(run.type), self.now + LEASE, self.desk)
            self.executions.held[execution] = None
            execution.begun = True
            self.executions.running += 1  # beyond the slots when claimed ahead, which counts as those that wait do
            if self.routes.limits:
                self.routes.limits.started(run.type, self.now)
        if contended:
            assert not self.agenda.idle
            if not self.rounds and self.executions.free > 0 and not self.agenda.hungry:
                until = self.agenda.next_at(self.now, self.rounds, closing=False)
                assert until <= self.now + 1.5 * CONTENDED_AGAIN[1]
        if done.promote:
            self.promoted = max(self.promoted, began)
        if done.promote and self.woken_at > self.promoted and not self.rounds and self.executions.free <= 0:
            until = self.agenda.next_at(self.now, self.rounds, closing=False)
            assert until <= max(self.now, self.woken_at + PROMOTE_SOON), "what came meanwhile, for later, is not seen"
        if expired and (done.promote or done.sweep):
            assert self.agenda.hungry
        elif done.request and not claimed and wakes == self.wakes and not self.until_idle and self.most == 1:
            released = any(isinstance(each.outcome, Released) for each in done.ended)
            assert self.agenda.hungry is released, "nothing was found: it waits until it is woken, or for the next poll"
        self.ask()

    @rule(place=st.integers(0, 1))
    def a_round_fails(self, place):
        """What it was for is to be done still, once the database is tried again."""
        failed = self.one(place)
        if failed is None:
            return
        del self.rounds[failed]
        self.agenda.failed(failed, self.now)
        if failed.sweep:
            self.swept = self.now
        self.backoff.failed(self.now)
        self.executions.ended = [*failed.ended, *self.executions.ended]
        if failed.request is not None:
            assert self.agenda.hungry
        assert not self.ask(), "it leaves the database alone"

    @rule(count=st.integers(1, 200), outcome=st.sampled_from(["succeeds", "retries", "fails", "releases"]))
    def handlers_end(self, count, outcome):
        outcomes = {
            "succeeds": Succeeded("null"),
            "retries": Failed("it broke", 0.5),
            "fails": Failed("it broke", None),
            "releases": Released(),
        }
        for execution in tuple(self.executions.held)[:count]:
            del self.executions.held[execution]
            self.executions.running -= 1
            if self.routes.limits and self.routes.limits.ended(execution.type, started=True):
                self.executions.room = True
            self.executions.ended.append(Ended(execution, outcomes[outcome]))
        self.ask()

    @invariant()
    def what_ended_is_nowhere_twice(self):
        stored = [each.execution.id for work_ in self.rounds for each in work_.ended]
        waiting = [each.execution.id for each in self.executions.ended]
        assert len({*stored, *waiting}) == len(stored) + len(waiting)


TestAgenda = AgendaMachine.TestCase
TestAgenda.settings = settings(stateful_step_count=30)
