"""Laws of the ready-made escalators: each run is answered as if it were the only one, and forgotten when it ends."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longrun.critic.decision import NOTHING, Decision, ExtendBy, Kill, Nudge
from longrun.critic.escalators import ExtendOnce, KillAfter, Ladder
from longrun.critic.info import RunInfo

RUNS = ["a-1", "a-2", "b-1"]
TRACES = st.lists(st.tuples(st.sampled_from(RUNS), st.sampled_from(["ask", "ask", "ask", "end"])), max_size=40)

MAKERS: dict[str, Callable[[], Any]] = {
    "extend once": lambda: ExtendOnce(30),
    "a ladder that kills": lambda: Ladder(Nudge("still there?"), ExtendBy(30), Kill("stalled")),
    "a ladder that ends": lambda: Ladder(Nudge("one") | ExtendBy(5), NOTHING, Nudge("three")),
    "kill at once": lambda: KillAfter(),
    "kill at the third": lambda: KillAfter(3, "three times"),
}


def ask(escalator: Any, run: str) -> Decision | None:
    """What it says; a ready-made escalator waits for nothing."""
    info = RunInfo(id=run, task="job", attempt=1, elapsed=70.0, expected=60.0, idle_for=12.0, left=50.0)
    with pytest.raises(StopIteration) as done:
        escalator(info).send(None)
    answer: Decision | None = done.value.value
    return answer


def play(escalator: Any, trace: list[tuple[str, str]]) -> dict[str, list[Decision | None]]:
    """The answers by run."""
    answers: dict[str, list[Decision | None]] = {run: [] for run in RUNS}
    for run, what in trace:
        if what == "end":
            escalator.forget(run)
        else:
            answers[run].append(ask(escalator, run))
    return answers


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@given(trace=TRACES)
def test_what_one_run_is_told_does_not_depend_on_the_others(
    make: Callable[[], Any], trace: list[tuple[str, str]]
) -> None:
    """The answers among many runs are the answers alone."""
    together = play(make(), trace)

    for run in RUNS:
        alone = play(make(), [row for row in trace if row[0] == run])
        assert together[run] == alone[run]


@given(trace=TRACES)
def test_one_extension_is_granted_for_each_life_of_a_run_that_stalled(trace: list[tuple[str, str]]) -> None:
    """Never two in one life; a new life has one again."""
    answers = play(ExtendOnce(30), trace)

    for run in RUNS:
        lives, asked = 0, False
        for who, what in trace:
            if who == run:
                lives += what == "ask" and not asked
                asked = what == "ask" or (asked and what != "end")
        assert answers[run].count(ExtendBy(30)) == lives
        assert set(answers[run]) <= {ExtendBy(30), None}


@given(trace=TRACES, stalls=st.integers(1, 5))
def test_a_run_is_killed_from_its_nth_consult_on(trace: list[tuple[str, str]], stalls: int) -> None:
    """The same as a ladder that waits n - 1 steps and then kills."""
    ladder = Ladder(*[NOTHING] * (stalls - 1), Kill("enough"))

    killed = play(KillAfter(stalls, "enough"), trace)

    climbed = play(ladder, trace)
    assert {run: [answer or NOTHING for answer in killed[run]] for run in RUNS} == climbed


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@given(trace=TRACES)
def test_nothing_is_remembered_of_runs_that_have_ended(make: Callable[[], Any], trace: list[tuple[str, str]]) -> None:
    """No table grows with the number of runs there ever were; forgetting twice is fine."""
    escalator = make()
    play(escalator, trace)

    for run in (*RUNS, *RUNS, "never seen"):
        escalator.forget(run)

    tables = [getattr(escalator, slot) for slot in escalator.__slots__]
    assert [table for table in tables if isinstance(table, dict | set) and table] == []
    assert sum(isinstance(table, dict | set) for table in tables) == 1
