"""The watch: stories of single attempts, told with plain numbers."""

import math
from typing import Any

import pytest

from longrun import Critic, ExtendBy, ExtendOnce, Kill, Nudge
from longrun.critic.decision import NOTHING
from longrun.critic.watch import Watch


def watch(started: float = 100.0, **settings: Any) -> Watch:
    """Of a run that is expected to take 60 s."""
    return Critic(ExtendOnce(5), **{"expected": 60, **settings}).watch(started)


def test_a_run_that_ends_in_time_is_never_asked_about() -> None:
    """Before it is late, all is well."""
    one = watch()

    assert [one.look(at, None) for at in (100.0, 130.0, 159.9)] == ["well"] * 3
    assert not one.stalled
    assert one.next_look(None) == 160.0


def test_a_late_run_is_asked_about_once_per_tick_until_its_deadline() -> None:
    """Late at 160, asked every second, ended at 220."""
    one = watch()
    asked = []

    now = one.next_look(None)
    while one.look(now, None) == "stalled":
        asked.append(now)
        one.consulted(now)
        now = one.next_look(None)

    assert asked == [160.0 + second for second in range(60)]
    assert now == 220.0
    assert one.look(now, None) == "expired"


def test_nobody_else_is_asked_while_a_consult_is_under_way_but_the_deadline_counts() -> None:
    """An escalator that hangs cannot keep a run alive."""
    one = watch()

    assert one.look(160.0, None) == "stalled"

    assert one.look(219.0, None) == "well"
    assert one.next_look(None) == 220.0
    assert one.look(220.0, None) == "expired"


def test_a_run_without_progress_is_stalled_and_with_progress_it_is_not_any_more() -> None:
    """Silent from 110 on; asked about at 115; moving on again; asked about again five seconds later."""
    one = watch(idle=5)
    assert one.next_look(110.0) == 115.0
    assert one.look(115.0, 110.0) == "stalled"
    one.consulted(115.2)

    assert one.look(116.3, 116.0) == "well"

    assert one.state == "watched"
    assert one.next_look(116.0) == 121.0
    assert one.look(121.0, 116.0) == "stalled"


def test_progress_does_not_excuse_a_run_that_is_late() -> None:
    """It is slow, busy as it may be."""
    assert watch(idle=5).look(160.0, 159.9) == "stalled"


def test_progress_of_the_attempt_before_does_not_count() -> None:
    """The wait between attempts is no silence, and what was before it no sign of life."""
    one = watch(started=500.0, idle=5)

    assert one.look(504.9, 120.0) == "well"
    assert one.look(505.0, 120.0) == "stalled"
    assert one.info(505.0, 120.0, run_id="r-1", task="job", attempt=2).idle_for == 5.0


def test_an_extension_counts_from_now_and_never_shortens() -> None:
    """90 s from 160 are 250; 30 s from 165 would be less."""
    one = watch()

    assert one.apply(ExtendBy(90), 160.0) == ExtendBy(90)
    assert one.apply(ExtendBy(30) | Nudge("hurry"), 165.0) == Nudge("hurry")

    assert one.deadline == 250.0
    assert (one.extensions, one.nudges) == (1, 1)


def test_no_extension_leads_past_the_ceiling() -> None:
    """What is granted is what was left of it."""
    one = watch(ceiling=150)

    assert one.apply(ExtendBy(500), 160.0) == ExtendBy(90)
    assert one.apply(ExtendBy(500), 170.0) == NOTHING

    assert one.deadline == 250.0
    assert one.extensions == 1


def test_a_ceiling_below_the_backstop_is_the_first_deadline() -> None:
    """Whichever comes first."""
    assert watch(ceiling=80, backstop=4).deadline == 180.0


def test_an_extension_that_comes_after_the_deadline_is_none() -> None:
    """The backstop does not depend on how quickly somebody looks."""
    one = watch()

    assert one.apply(ExtendBy(90), 220.0) == NOTHING
    assert one.look(220.0, None) == "expired"


def test_a_kill_is_final() -> None:
    """The first reason stays, the deadline is now, and nobody is asked or told anything more."""
    one = watch()

    assert one.apply(Kill("hopeless") | ExtendBy(90) | Nudge("never mind"), 170.0) == Kill("hopeless")

    assert one.kill("another reason", 171.0) is False
    assert one.apply(ExtendBy(90) | Nudge("too late"), 171.0) == NOTHING
    one.shift(10)
    one.consulted(171.0)
    one.end()
    assert (one.killed, one.state, one.deadline) == ("hopeless", "killed", 170.0)
    assert (one.nudges, one.extensions) == (0, 0)
    assert one.look(300.0, None) == "well"
    assert one.next_look(None) == math.inf


def test_a_kill_after_the_deadline_does_not_move_it() -> None:
    """It was over by then."""
    one = watch()

    assert one.kill("time is up", 230.0) is True

    assert one.deadline == 220.0


def test_an_attempt_that_has_ended_cannot_be_killed_any_more() -> None:
    """It has a result; the order comes too late."""
    one = watch()
    one.look(160.0, None)
    one.end()

    assert one.kill("time is up", 161.0) is False
    assert one.apply(Kill("hopeless"), 161.0) == NOTHING
    assert one.look(500.0, None) == "well"
    assert (one.killed, one.state, one.next_look(None)) == (None, "over", math.inf)


def test_after_three_failures_in_a_row_only_the_deadline_counts() -> None:
    """Two and a success are forgiven; three are not."""
    one = watch()
    for failed in (True, True, False, True, True):
        now = one.next_look(None)
        assert one.look(now, None) == "stalled"
        one.consulted(now, failed=failed)
    now = one.next_look(None)
    assert one.look(now, None) == "stalled"

    one.consulted(now, failed=True)

    assert one.state == "blind"
    assert one.look(now + 1, None) == "well"
    assert one.next_look(None) == 220.0
    assert one.look(220.0, None) == "expired"


def test_a_blocked_event_loop_is_not_held_against_a_run() -> None:
    """Forty seconds in which nobody could do anything: neither late, nor silent, nor ended by them."""
    one = watch(idle=5, ceiling=200)
    one.look(102.0, 101.0)

    one.shift(40)

    assert one.look(142.0, 101.0) == "well"
    assert one.info(142.0, 101.0, run_id="r-1", task="job", attempt=1).idle_for == 1.0
    assert one.next_look(101.0) == 146.0
    assert one.elapsed(142.0) == 2.0
    assert one.deadline == 260.0
    assert one.apply(ExtendBy(1000), 142.0) == ExtendBy(198)


def test_a_sign_of_life_after_a_block_is_not_dated_into_the_future() -> None:
    """Blocked until 140, alive at 141, seen at 142: silent from 147 on at the latest, not from 187."""
    one = watch(idle=5)
    one.shift(40)

    assert one.look(142.0, 141.0) == "well"

    assert one.next_look(141.0) == 147.0


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf, -math.inf])
def test_clocks_are_not_moved_back_nor_to_nowhere(seconds: float) -> None:
    """A defect of the caller, named."""
    with pytest.raises(ValueError, match=r"Watch.shift seconds is"):
        watch().shift(seconds)


def test_a_kill_needs_a_reason() -> None:
    """From whomever it comes; nothing has happened then."""
    one = watch()

    with pytest.raises(ValueError, match="Kill reason is ''"):
        one.kill("", 120.0)
    assert one.killed is None


def test_a_run_without_an_id_is_refused() -> None:
    """Escalators would take all of them for one."""
    with pytest.raises(ValueError, match=r"RunInfo.id is ''; give the run's own id"):
        watch().info(160.0, None, run_id="", task="job", attempt=1)


def test_a_watch_shows_its_state_and_its_deadline() -> None:
    """What an operator wants to see."""
    one = watch()
    assert repr(one) == "<Watch: watched, deadline 220.000>"

    one.kill("hopeless", 170.0)

    assert repr(one) == "<Watch: killed, deadline 170.000, hopeless>"
