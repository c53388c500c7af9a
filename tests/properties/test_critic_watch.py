"""The watch against an independent model: any row of waits, progress, answers, orders, kills and blocked event loops.

The model keeps the whole story and one clock of its own, which stands still while the event loop is blocked; from the
story it counts everything anew. All instants are multiples of a quarter second, so nothing is rounded.
"""

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from longrun.critic.critic import Critic
from longrun.critic.decision import NOTHING, Decision, ExtendBy, Kill, Nudge
from longrun.critic.escalators import ExtendOnce
from longrun.critic.states import TRANSITIONS
from longrun.critic.watch import FAILURES

START = 1000.0
ANSWERS = st.sampled_from(
    [
        NOTHING,
        Nudge("still there?"),
        ExtendBy(-3),
        ExtendBy(0.5),
        ExtendBy(6),
        ExtendBy(40),
        Nudge("a") | ExtendBy(12) | Nudge("b"),
        Kill("hopeless"),
        ExtendBy(100) | Kill("worse") | Nudge("too late"),
    ]
)
WAITS = st.sampled_from([0.0, 0.25, 1.0, 1.5, 3.0, 7.0])


class WatchMachine(RuleBasedStateMachine):
    """One attempt; ``self.watch`` is the machine, everything else is the model."""

    @initialize(
        expected=st.sampled_from([4.0, 10.0]),
        idle=st.sampled_from([None, 1.5, 3.0, 20.0]),
        backstop=st.sampled_from([1.5, 2.0, 4.0, 0.0, -1.0, math.nan, math.inf]),
        ceiling=st.sampled_from([None, 11.0, 25.0, 60.0]),
        tick=st.sampled_from([1.0, 2.5]),
    )
    def begin(self, expected: float, idle: float | None, backstop: float, ceiling: float | None, tick: float) -> None:
        """A new attempt."""
        critic = Critic(ExtendOnce(5), expected=expected, idle=idle, backstop=backstop, ceiling=ceiling, tick=tick)
        self.watch = critic.watch(START)
        self.expected, self.idle, self.tick = expected, idle, tick
        self.ceiling = math.inf if ceiling is None else ceiling
        self.allowed = (backstop if 1 < backstop < math.inf else 2.0) * expected
        self.limit = min(self.allowed, self.ceiling)  # of the attempt, on the model's clock
        self.now = START
        self.blocked = 0.0
        self.progress: float | None = None
        self.moved_at = 0.0  # the model's time of the last progress, or of the start
        self.asking = False
        self.answers: list[tuple[float, bool]] = []  # when a consult ended, and whether it failed
        self.ever_stalled = False
        self.granted: list[float] = []
        self.nudged = 0
        self.killed: str | None = None
        self.killed_at = math.inf
        self.over = False
        self.before = self.watch.state
        self.deadlines = [self.watch.deadline]

    def counted(self) -> float:
        """Seconds of the attempt in which the event loop was not blocked."""
        return self.now - START - self.blocked

    def blind(self) -> bool:
        """Whether a row of failures has ended the asking."""
        row = [failed for _, failed in self.answers]
        return any(all(row[i : i + FAILURES]) for i in range(len(row) - FAILURES + 1))

    def stalled(self) -> bool:
        """Late, or silent."""
        return self.counted() >= self.expected or (
            self.idle is not None and self.counted() - self.moved_at >= self.idle
        )

    def told(self) -> str:
        """What a look has to say, from the story."""
        if self.killed is not None or self.over:
            return "well"
        if self.counted() >= self.limit:
            return "expired"
        if self.asking or self.blind():
            return "well"
        if not self.stalled():
            return "well"
        if self.answers and self.counted() < self.answers[-1][0] + self.tick:
            return "well"
        return "stalled"

    def look(self) -> str:
        """Look, and compare."""
        should = self.told()
        if should != "expired" and not (self.asking or self.blind() or self.killed or self.over) and self.stalled():
            self.ever_stalled = True

        found = self.watch.look(self.now, self.progress)

        assert found == should
        if found == "stalled":
            self.asking = True
        return found

    def apply(self, decision: Decision) -> None:
        """A decision takes effect, and says how much of it did."""
        done = self.watch.apply(decision, self.now)

        if self.killed is not None or self.over:
            assert done == NOTHING
            return
        if decision.killed is not None:
            assert done == decision
            self.killed, self.killed_at = decision.killed, self.now
            return
        self.nudged += len(decision.nudges)
        wanted = min(self.counted() + decision.extend, self.ceiling)
        if decision.extend > 0 and self.counted() < self.limit < wanted:
            self.limit = wanted
            self.granted.append(wanted - self.counted())
            assert done == Decision(nudges=decision.nudges, extend=self.granted[-1])
        else:
            assert done == Decision(nudges=decision.nudges)

    @rule(seconds=WAITS)
    def time_passes(self, seconds: float) -> None:
        """Only time."""
        self.now += seconds

    @rule()
    def work_moves_on(self) -> None:
        """The work says so."""
        self.progress = self.now
        self.moved_at = self.counted()

    @rule()
    def runner_looks(self) -> None:
        """At any time, and as often as it likes."""
        self.look()

    @rule(share=st.sampled_from([0.0, 0.5, 1.0]))
    def runner_looks_when_it_is_told_to(self, share: float) -> None:
        """Before the instant named by ``next_look`` all is well; at that instant it is not."""
        due = self.watch.next_look(self.progress)
        if due == math.inf:
            assert self.killed is not None or self.over
            return
        wait = max(0.0, due - self.now)
        self.now += math.floor(wait * share * 4) / 4
        found = self.look()
        assert (found == "well") == (self.now < due)

    @precondition(lambda self: self.asking)
    @rule(answer=ANSWERS)
    def escalator_answers(self, answer: Decision) -> None:
        """What it wants takes effect, if there is anything left to effect."""
        self.apply(answer)
        self.watch.consulted(self.now)
        self.asking = False
        self.answers.append((self.counted(), False))

    @precondition(lambda self: self.asking)
    @rule()
    def escalator_fails(self) -> None:
        """It raised, or took too long."""
        deadline = self.watch.deadline

        self.watch.consulted(self.now, failed=True)

        self.asking = False
        self.answers.append((self.counted(), True))
        assert self.watch.deadline == deadline

    @precondition(lambda self: not self.asking)
    @rule(failed=st.booleans())
    def an_answer_nobody_asked_for_changes_nothing(self, failed: bool) -> None:
        """Whether a consult was under way is known to the watch itself."""
        self.watch.consulted(self.now, failed=failed)

    @rule(answer=ANSWERS)
    def operator_decides(self, answer: Decision) -> None:
        """A decision may come from elsewhere at any time."""
        self.apply(answer)

    @rule(reason=st.sampled_from(["time is up", "an operator said so"]))
    def runner_kills(self, reason: str) -> None:
        """The first kill counts, and says that it did."""
        alive = self.killed is None and not self.over

        assert self.watch.kill(reason, self.now) == alive

        if alive:
            self.killed, self.killed_at = reason, self.now

    @rule(seconds=st.sampled_from([0.25, 2.0, 9.0]))
    def event_loop_is_blocked(self, seconds: float) -> None:
        """For this time nobody could do anything: no clock of the attempt goes on. The runner looks at once."""
        self.now += seconds
        self.watch.shift(seconds)
        if self.killed is None and not self.over:
            self.blocked += seconds
            self.deadlines = [deadline + seconds for deadline in self.deadlines]
        self.look()

    @precondition(lambda self: self.watch.stalled)
    @rule()
    def attempt_ends(self) -> None:
        """It returned, raised or was cut off; saying it twice is the same."""
        self.watch.end()
        self.watch.end()
        self.over = True

    @invariant()
    def machine_and_model_agree(self) -> None:
        """Everything that can be seen."""
        if not hasattr(self, "watch"):
            return
        one = self.watch
        assert one.killed == self.killed
        assert one.stalled == self.ever_stalled
        assert one.extensions == len(self.granted)
        assert one.nudges == self.nudged
        if self.killed is None:
            assert one.deadline == START + self.blocked + self.limit
            if self.over:
                assert one.state == "over"
            else:
                assert (one.state == "blind") == self.blind()
                assert (one.state == "consulting") == self.asking

    @invariant()
    def a_deadline_only_becomes_later_until_a_kill_ends_it(self) -> None:
        """Sticky, monotonic, and bounded by what was allowed and granted."""
        if not hasattr(self, "watch"):
            return
        deadline = self.watch.deadline
        if self.killed is not None:
            assert deadline <= self.killed_at
            assert self.watch.state == "killed"
            assert self.watch.next_look(self.progress) == math.inf
            return
        assert deadline >= self.deadlines[-1]
        self.deadlines.append(deadline)
        most = min(self.ceiling, self.allowed + sum(self.granted))
        assert deadline <= START + self.blocked + most

    @invariant()
    def every_step_is_in_the_table(self) -> None:
        """One rule takes at most three steps: it stalls or resumes, asks, and is ended."""
        if not hasattr(self, "watch"):
            return
        reached = {self.before}
        for _ in range(3):
            reached |= {after for (before, _), after in TRANSITIONS.items() if before in reached}
        assert self.watch.state in reached
        self.before = self.watch.state

    @invariant()
    def an_escalator_is_told_what_is_so(self) -> None:
        """The information is that of the model."""
        if not hasattr(self, "watch") or self.killed is not None or self.over:
            return
        info = self.watch.info(self.now, self.progress, run_id="r-1", task="job", attempt=2, note="page 7")
        assert info.elapsed == self.counted()
        assert info.idle_for == self.counted() - self.moved_at
        assert info.left == max(0.0, self.limit - self.counted())
        assert (info.nudges, info.extensions) == (self.nudged, len(self.granted))
        assert (info.id, info.task, info.attempt, info.expected, info.note) == (
            "r-1", "job", 2, self.expected, "page 7",
        )  # fmt: skip


TestWatchMachine = WatchMachine.TestCase

NUMBERS = st.floats(0.001, 1e6)


@given(
    expected=NUMBERS,
    backstop=st.floats(max_value=1.0) | st.sampled_from([math.nan, math.inf, -math.inf]) | st.integers(max_value=1),
)
def test_a_backstop_that_cannot_be_meant_is_twice_the_expected_time(expected: float, backstop: float) -> None:
    """The first deadline is finite, and behind the instant at which the run becomes late."""
    watch = Critic(ExtendOnce(5), expected=expected, backstop=backstop).watch(0.0)

    assert watch.deadline == 2 * expected
    assert expected < watch.deadline < math.inf


@given(expected=NUMBERS, backstop=st.floats(1.001, 1e300) | st.integers(2, 10**400))
def test_any_backstop_above_one_leaves_a_finite_deadline_behind_the_expected_time(
    expected: float, backstop: float
) -> None:
    """Also where the product is no number any more."""
    critic = Critic(ExtendOnce(5), expected=expected, backstop=backstop)

    assert expected < critic.watch(0.0).deadline < math.inf


@given(
    idle=st.integers(1, 20),
    moved=st.integers(0, 10),
    block=st.integers(1, 30),
    again=st.none() | st.integers(0, 10),
)
def test_progress_just_after_a_block_may_count_for_longer_but_by_no_more_than_the_block(
    idle: int, moved: int, block: int, again: int | None
) -> None:
    """The watch is not told when exactly the block was; in doubt a run is not called silent."""
    watch = Critic(ExtendOnce(5), expected=1e6, idle=idle).watch(0.0)
    progress = float(moved + block + again) if again is not None else float(moved)
    exact = progress + idle + (0 if again is not None else block)

    watch.shift(float(block))

    assert exact <= watch.next_look(progress) <= exact + block


@given(rows=st.lists(st.tuples(st.integers(0, 3), WAITS, ANSWERS), max_size=30))
def test_attempts_under_one_critic_do_not_touch_one_another(rows: list[tuple[int, float, Any]]) -> None:
    """What happens to one attempt among many is what happens to it alone."""
    critic = Critic(ExtendOnce(5), expected=4.0, idle=3.0)
    together = {run: critic.watch(START) for run in range(4)}
    now = START
    found: dict[int, list[tuple[object, ...]]] = {run: [] for run in range(4)}
    story: dict[int, list[tuple[float, Decision]]] = {run: [] for run in range(4)}
    for run, wait, answer in rows:
        now += wait
        story[run].append((now, answer))
        found[run].append(_step(together[run], now, answer))

    for run in range(4):
        alone = critic.watch(START)
        assert [_step(alone, at, answer) for at, answer in story[run]] == found[run]


def _step(watch: Any, now: float, answer: Decision) -> tuple[object, ...]:
    said = watch.look(now, None)
    done = NOTHING
    if said == "stalled":
        done = watch.apply(answer, now)
        watch.consulted(now)
    elif said == "expired":
        watch.kill("time is up", now)
    return said, done, watch.deadline, watch.killed, watch.state
