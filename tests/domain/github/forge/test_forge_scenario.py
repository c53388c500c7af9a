"""The timeline of the sandbox."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.github.adapters.forge import SANDBOX, Calm, Forge, Kind, Moment, Scenario, Trouble, World
from domain.github.adapters.forge.scenario import ISSUE_LISTS, play

SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)).map(lambda s: Calm(s[0], s[0] + s[1])), max_size=4)


@given(every=st.integers(1, 20), most=st.integers(0, 50), calms=SPANS)
def test_the_world_grows_as_often_as_allowed_and_never_in_a_calm(every, most, calms):
    """Bounded, in order, and at rest when it should be."""
    scenario = Scenario(every, most, tuple(calms), (Moment(5, Trouble(Kind.RESET)),))

    timeline = scenario.timeline()

    growth = [moment.at for moment in timeline if moment.trouble is None]
    assert most == len(growth)
    assert sorted(moment.at for moment in timeline) == [moment.at for moment in timeline]
    assert not any(calm.start <= at < calm.end for at in growth for calm in calms)


def test_the_sandbox_shows_its_trouble_in_the_first_minute():
    """A short 429, three different 5xx in a row, one secondary limit; then calm."""
    troubles = [(moment.at, moment.trouble) for moment in SANDBOX.timeline() if moment.trouble]

    assert [t.kind for at, t in troubles if at < 20] == [Kind.RETRY_AFTER]
    assert 2 <= troubles[0][1].wait <= 3
    assert {500, 502, 503} == {
        {Kind.INTERNAL_ERROR: 500, Kind.BAD_GATEWAY: 502, Kind.UNAVAILABLE: 503}[t.kind]
        for at, t in troubles
        if 20 <= at <= 25
    }
    assert [t.kind for at, t in troubles if at > 25] == [Kind.SECONDARY_LIMIT]
    assert max(at for at, _ in troubles) <= 45


def test_the_sandbox_troubles_issue_lists_only():
    """A preflight or a comment is not in danger."""
    for address, hit in {
        "GET /repos/a/b/issues": True,
        "GET /repositories/7/issues?page=2": True,
        "GET /repos/a/b/issues/1": False,
        "GET /repos/a/b/issues/1/comments": False,
        "POST /repos/a/b/issues": False,
        "GET /repos/a/b": False,
    }.items():
        assert hit == bool(re.search(ISSUE_LISTS, address)), address


@pytest.mark.anyio
async def test_a_scenario_is_played_moment_by_moment(clock):
    """It sleeps until each moment, and does what the moment says."""
    forge = Forge(World.seeded(clock=clock))
    slept = []

    async def sleep_until(at):
        slept.append((at, forge.world.steps, len(forge.pending)))

    scenario = Scenario(4, 3, (Calm(7, 9),), (Moment(5, Trouble(Kind.RESET)),))
    await play(scenario, forge, now=lambda: 100.0, sleep_until=sleep_until)

    assert slept == [(104, 0, 0), (105, 1, 0), (112, 1, 1), (116, 2, 1)]
    assert (forge.world.steps, len(forge.pending)) == (3, 1)


@pytest.mark.parametrize(("fields", "said"), [({"grow_every": 0}, "grow_every is 0"), ({"grow_at_most": -1}, "is -1")])
def test_a_scenario_that_cannot_be_played_is_refused(fields, said):
    """With the field and its value."""
    with pytest.raises(ValueError, match=said):
        Scenario(**fields)
