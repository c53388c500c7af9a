"""The ready-made escalators: what they answer, what they refuse."""

from datetime import timedelta

import pytest

from longrun import ExtendBy, ExtendOnce, Kill, KillAfter, Ladder, Nudge, RunInfo

pytestmark = pytest.mark.anyio


def info(run: str = "r-1", attempt: int = 1, note: str | None = None) -> RunInfo:
    """Of a run that is 12.5 s late."""
    return RunInfo(
        id=run, task="job", attempt=attempt, elapsed=72.5, expected=60.0, idle_for=31.25, left=47.5, note=note
    )


async def test_a_run_is_extended_once_whatever_the_others_do() -> None:
    """Two runs stall; each gets its extension, none a second."""
    escalator = ExtendOnce(timedelta(seconds=30))

    answers = [await escalator(info(run)) for run in ("r-1", "r-2", "r-1", "r-2")]

    assert answers == [ExtendBy(30), ExtendBy(30), None, None]


async def test_another_attempt_of_the_same_run_gets_no_second_extension() -> None:
    """A run is one life, with all its attempts; an id that comes again after its end is another."""
    escalator = ExtendOnce(30)

    assert await escalator(info(attempt=1)) == ExtendBy(30)
    assert await escalator(info(attempt=2)) is None

    escalator.forget("r-1")
    assert await escalator(info(attempt=1)) == ExtendBy(30)


async def test_a_ladder_is_climbed_one_step_at_a_time() -> None:
    """From a word to an end."""
    ladder = Ladder(Nudge("still there?"), Nudge("last call") | ExtendBy(30), Kill("stalled"))

    answers = [await ladder(info()) for _ in range(3)]

    assert answers == [Nudge("still there?"), Nudge("last call") | ExtendBy(30), Kill("stalled")]


async def test_behind_the_last_step_the_deadline_decides_and_a_kill_stays() -> None:
    """The next attempt of a run that was killed does not get all the patience again."""
    patient, strict = Ladder(Nudge("still there?")), Ladder(Kill("stalled"))

    assert [await patient(info(attempt=attempt)) for attempt in (1, 2)] == [Nudge("still there?"), None]
    assert [await strict(info(attempt=attempt)) for attempt in (1, 2)] == [Kill("stalled")] * 2


async def test_kill_after_counts_consults_and_says_why() -> None:
    """How late, how silent, and what the work said last."""
    escalator = KillAfter(2)

    assert await escalator(info()) is None
    assert await escalator(info(note="page 7")) == Kill(
        "stalled after 72.5 s of 60 s expected, 31.2 s without progress, the last one was 'page 7'"
    )
    assert await KillAfter()(info()) == Kill("stalled after 72.5 s of 60 s expected, 31.2 s without progress")
    assert await KillAfter(reason="too slow")(info()) == Kill("too slow")


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), True, "30", None])
async def test_an_extension_by_nothing_is_refused(seconds: object) -> None:
    """It would never extend."""
    with pytest.raises(ValueError, match="ExtendOnce seconds is"):
        ExtendOnce(seconds)  # type: ignore[arg-type]  # the wrong type is the test


@pytest.mark.parametrize("stalls", [0, -1, 1.5, True, "2", None])
async def test_a_number_of_stalls_that_is_none_is_refused(stalls: object) -> None:
    """The message names it."""
    with pytest.raises(ValueError, match=r"KillAfter stalls is .*; give a whole number of at least 1"):
        KillAfter(stalls)  # type: ignore[arg-type]  # the wrong type is the test


async def test_a_kill_without_words_is_refused() -> None:
    """At once, not when the first run stalls."""
    with pytest.raises(ValueError, match="Kill reason is ' '"):
        KillAfter(reason=" ")


async def test_a_ladder_that_cannot_be_climbed_is_refused() -> None:
    """No steps, a step that is none, steps behind the end."""
    with pytest.raises(ValueError, match="Ladder has no steps"):
        Ladder()
    with pytest.raises(ValueError, match="Ladder step 2 is 30; give a Nudge"):
        Ladder(Nudge("a"), 30)  # type: ignore[arg-type]  # the wrong type is the test
    with pytest.raises(ValueError, match=r"Ladder step 1 is Kill\('stalled'\), so step 2 is never reached"):
        Ladder(Kill("stalled"), ExtendBy(30))


async def test_escalators_read_as_they_are_written() -> None:
    """For ``describe`` and for ``plan``."""
    assert repr(ExtendOnce(30)) == "ExtendOnce(30)"
    assert repr(Ladder(Nudge("a"), Kill("b"))) == "Ladder(Nudge('a'), Kill('b'))"
    assert repr(KillAfter(2)) == "KillAfter(2)"
    assert repr(KillAfter(1, "slow")) == "KillAfter(1, Kill('slow'))"
