"""``inbox types``, ``enable`` and ``disable``."""

TYPE = "shop.receipt.v1"


def test_a_type_is_switched_off_and_on(cli, within):
    """Its runs wait meanwhile; a type that nobody knows yet can be switched too."""
    none = cli("inbox", "types")
    off = cli("inbox", "disable", TYPE)
    listed = cli("inbox", "types").out.splitlines()
    on = cli("inbox", "enable", TYPE, "--json").json

    (known,) = within(lambda inbox: inbox.types())
    assert none == (0, "", "no worker has made a type known yet\n")
    assert off == (0, f"{TYPE} disabled\n", "")
    assert [line.split() for line in listed] == [["TYPE", "RUNTIME", "STATE"], [TYPE, "python", "disabled"]]
    assert on == {"type": TYPE, "enabled": True}
    assert cli("inbox", "types", "--json").json["types"] == [{"type": TYPE, "runtime": "python", "enabled": True}]
    assert (known.type, known.enabled) == (TYPE, True)


def test_a_wrong_type_is_one_line(cli, error_of):
    """Exit code 2, and it is not made known."""
    assert "the intent type is 'bad type'" in error_of(cli("inbox", "disable", "bad type"), 2)
    assert cli("inbox", "types", "--json").json["types"] == []
