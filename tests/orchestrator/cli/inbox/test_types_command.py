"""``inbox types``, ``enable`` and ``disable``."""

import pytest

TYPE = "shop.receipt.v1"


@pytest.fixture
def known(within):
    """As a worker that has handlers makes its types known."""

    async def register(inbox):
        types = [TYPE, "shop.refund.v1", "bill.v1"]
        await inbox.database.transaction(lambda connection: inbox.store.register(connection, types))

    return lambda: within(register)


def states(cli):
    """Which types are on."""
    return {each["type"]: each["enabled"] for each in cli("inbox", "types", "--json").json["types"]}


def test_a_type_is_switched_off_and_on(cli, known):
    """Its runs wait meanwhile."""
    none = cli("inbox", "types")
    known()
    off = cli("inbox", "disable", TYPE)
    listed = cli("inbox", "types").out.splitlines()
    on = cli("inbox", "enable", TYPE, "--json").json

    assert none == (0, "", "no worker has made a type known yet\n")
    assert off == (0, f"{TYPE} disabled\n", "")
    assert [line.split() for line in listed] == [
        ["TYPE", "RUNTIME", "STATE"],
        ["bill.v1", "python", "enabled"],
        [TYPE, "python", "disabled"],
        ["shop.refund.v1", "python", "enabled"],
    ]
    assert on == {"type": TYPE, "enabled": True}
    assert states(cli) == {TYPE: True, "shop.refund.v1": True, "bill.v1": True}


@pytest.mark.parametrize("switch", ["disable", "enable"])
def test_a_type_that_nobody_knows_is_refused_with_those_that_are_near(cli, known, error_of, switch):
    """A slip of the pen in an incident is told, and nothing is stored."""
    known()

    error = error_of(cli("inbox", switch, "shop.recipt.v1"), 1)
    strange = error_of(cli("inbox", switch, "weather"), 1)

    assert "no worker has made the type 'shop.recipt.v1' known" in error
    assert f"did you mean '{TYPE}'" in error
    assert "did you mean" not in strange
    assert "'inbox types'" in strange
    assert "--force" in strange
    assert set(states(cli)) == {TYPE, "shop.refund.v1", "bill.v1"}


def test_a_type_of_which_runs_wait_is_known_as_well(cli, error_of):
    """No worker makes known what it handles by a prefix."""
    cli("inbox", "submit", TYPE)

    near = error_of(cli("inbox", "disable", "shop.receipt.v2"), 1)
    off = cli("inbox", "disable", TYPE)

    assert f"did you mean '{TYPE}'" in near
    assert off == (0, f"{TYPE} disabled\n", "")


def test_a_type_to_come_is_switched_by_force(cli):
    """Before its workers are there, or its first run."""
    off = cli("inbox", "disable", TYPE, "--force")
    on = cli("inbox", "enable", TYPE)

    assert (off, on) == ((0, f"{TYPE} disabled\n", ""), (0, f"{TYPE} enabled\n", ""))


def test_a_wrong_type_is_one_line(cli, error_of):
    """Exit code 2, and it is not made known."""
    for force in ((), ("--force",)):
        assert "the intent type is 'bad type'" in error_of(cli("inbox", "disable", "bad type", *force), 2)
    assert states(cli) == {}
