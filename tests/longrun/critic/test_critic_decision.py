"""Decisions: what each says, what is refused, how they read."""

from datetime import timedelta

import pytest

from longrun import Decision, ExtendBy, Kill, Nudge
from longrun.critic.decision import NOTHING


def test_each_of_the_three_is_a_decision_with_one_part() -> None:
    """No step is needed from a part to a whole."""
    assert Nudge("still there?").nudges == ("still there?",)
    assert ExtendBy(30).extend == 30.0
    assert Kill("stalled").killed == "stalled"
    assert all(isinstance(part, Decision) for part in (Nudge("a"), ExtendBy(1), Kill("b"), NOTHING))


def test_parts_are_combined_with_a_bar() -> None:
    """Both take effect."""
    both = Nudge("still there?") | ExtendBy(30)

    assert (both.killed, both.extend, both.nudges) == (None, 30.0, ("still there?",))


def test_an_extension_takes_a_timedelta_and_0_or_less_asks_for_nothing() -> None:
    """What is left of something may be given as it comes."""
    assert ExtendBy(timedelta(minutes=2)).extend == 120.0
    assert ExtendBy(0) == ExtendBy(-0.5) == ExtendBy(-7.5) == ExtendBy(timedelta(-1)) == NOTHING


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), float("-inf"), True, "30", None, 10**400, [30]])
def test_an_extension_that_is_no_number_is_refused(seconds: object) -> None:
    """The message names the argument and its value."""
    with pytest.raises(ValueError, match=r"ExtendBy seconds is .*; give a finite number of seconds, or a timedelta"):
        ExtendBy(seconds)  # type: ignore[arg-type]  # the wrong type is the test


@pytest.mark.parametrize("text", ["", "  \n", None, 7, b"stalled"])
def test_blank_words_are_refused(text: object) -> None:
    """Somebody has to read them."""
    with pytest.raises(ValueError, match="Nudge message is"):
        Nudge(text)  # type: ignore[arg-type]  # the wrong type is the test
    with pytest.raises(ValueError, match="Kill reason is"):
        Kill(text)  # type: ignore[arg-type]  # the wrong type is the test


def test_only_decisions_combine_and_compare() -> None:
    """None is for an escalator to return, not to combine."""
    with pytest.raises(TypeError):
        _ = Nudge("a") | None  # type: ignore[operator]  # the wrong type is the test
    assert Nudge("a") != "a"


def test_a_decision_cannot_be_changed() -> None:
    """It is a value."""
    with pytest.raises(AttributeError):
        Kill("stalled").killed = None  # type: ignore[misc]  # changing it is the test


def test_a_decision_reads_as_it_is_written() -> None:
    """For logs and for ``plan``."""
    assert repr(Nudge("a") | ExtendBy(30) | Nudge("b")) == "Nudge('a') | Nudge('b') | ExtendBy(30)"
    assert repr(Nudge("a") | Kill("stalled")) == "Kill('stalled')"
    assert repr(NOTHING) == "NOTHING"
