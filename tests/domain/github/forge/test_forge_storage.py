"""The state file."""

import json

import pytest

from domain.github.adapters.forge import BadStateFile, Draft, Forge, World


def test_a_forge_finds_its_world_again(tmp_path, clock):
    """Issues, comments, new names, the ids to come and the growth to come: all the same."""
    path = tmp_path / "forge.json"
    first = Forge(World.seeded(clock=clock, seed=7), state_file=path)
    first.grow(25)
    first.open_issue(Draft("harbour/docs", "Kept", "päper ✓", ("a", "b")))
    first.rename("tidewater/queue", "tidewater/broker")

    second = Forge(World.seeded(clock=clock), state_file=path)

    assert first.world == second.world
    assert first.grow(10) == second.grow(10)
    assert first.world == second.world


def test_no_draft_is_left_beside_the_file(tmp_path, clock):
    """It replaces the file or is removed."""
    path = tmp_path / "forge.json"

    Forge(World.seeded(clock=clock), state_file=path).grow(3)

    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2}', "\x00"])
def test_a_file_that_is_no_state_is_refused_and_left_alone(tmp_path, clock, text):
    """The message names the file and the remedy."""
    path = tmp_path / "forge.json"
    path.write_text(text)

    with pytest.raises(BadStateFile, match=r"forge\.json cannot be used: .*delete the file to start afresh"):
        Forge(World.seeded(clock=clock), state_file=path)

    assert text == path.read_text()


@pytest.mark.parametrize("part", ["repositories", "issues"])
def test_a_state_that_refers_to_what_it_does_not_hold_is_refused(tmp_path, clock, part):
    """Somebody edited it by hand."""
    path = tmp_path / "forge.json"
    forge = Forge(World.seeded(clock=clock), state_file=path)
    forge.grow(60)
    state = json.loads(path.read_text())
    state[part] = []
    path.write_text(json.dumps(state))

    with pytest.raises(BadStateFile, match="refers to"):
        Forge(World.seeded(clock=clock), state_file=path)


def test_a_file_that_cannot_be_written_is_refused_at_the_start(tmp_path, clock):
    """Not when the first comment comes."""
    with pytest.raises(BadStateFile, match="No such file or directory; give a path in a folder that exists"):
        Forge(World.seeded(clock=clock), state_file=tmp_path / "nowhere" / "forge.json")


def test_a_folder_is_no_state_file(tmp_path, clock):
    """It can be neither read nor replaced."""
    with pytest.raises(BadStateFile, match="Is a directory"):
        Forge(World.seeded(clock=clock), state_file=tmp_path)
