"""Laws of decisions: always in normal form, and ``|`` may be bracketed and repeated as one likes."""

import copy
import pickle
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from longrun.critic.decision import NOTHING, Decision, ExtendBy, Kill, Nudge

WORDS = st.text(min_size=1).filter(str.strip)
PARTS = WORDS.map(Nudge) | st.floats(-1e9, 1e9).map(ExtendBy) | WORDS.map(Kill)
DECISIONS = st.lists(PARTS, max_size=4).map(lambda parts: _all(parts))


def _all(parts: Sequence[Decision]) -> Decision:
    whole = NOTHING
    for part in parts:
        whole = whole | part
    return whole


@given(DECISIONS)
def test_a_decision_is_a_kill_or_nudges_and_at_most_one_extension(decision: Decision) -> None:
    """A kill stands alone; an extension is never negative; what has no part is False."""
    if decision.killed is not None:
        assert (decision.extend, decision.nudges) == (0.0, ())
    assert decision.extend >= 0
    assert bool(decision) == (decision != NOTHING)


@given(DECISIONS, DECISIONS, DECISIONS)
def test_brackets_do_not_matter(a: Decision, b: Decision, c: Decision) -> None:
    """Associative."""
    assert (a | b) | c == a | (b | c)


@given(DECISIONS)
def test_nothing_adds_nothing(decision: Decision) -> None:
    """On neither side."""
    assert NOTHING | decision == decision
    assert decision | NOTHING == decision


@given(DECISIONS, WORDS)
def test_a_kill_dominates_and_the_first_reason_stays(decision: Decision, reason: str) -> None:
    """Kill and anything is that Kill alone; an earlier one wins."""
    assert Kill(reason) | decision == Kill(reason)
    assert decision | Kill(reason) == (decision if decision.killed is not None else Kill(reason))


@given(st.lists(WORDS), st.lists(st.floats(-1e9, 1e9)))
def test_all_messages_are_kept_in_order_and_the_longest_extension_wins(words: list[str], lengths: list[float]) -> None:
    """Whatever the order between the two kinds."""
    nudges, extensions = _all([Nudge(word) for word in words]), _all([ExtendBy(length) for length in lengths])

    assert nudges | extensions == extensions | nudges
    assert (nudges | extensions).nudges == tuple(words)
    assert (nudges | extensions).extend == max([0.0, *lengths])


@given(DECISIONS)
def test_equal_decisions_hash_alike_and_survive_a_copy(decision: Decision) -> None:
    """A value, however it came about."""
    again = Decision(decision.killed, decision.extend, decision.nudges)

    assert decision == again == copy.deepcopy(decision) == pickle.loads(pickle.dumps(decision))
    assert hash(decision) == hash(again)
