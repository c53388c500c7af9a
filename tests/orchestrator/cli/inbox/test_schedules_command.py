"""``schedules``."""

import pytest

TYPE = "shop.receipt.v1"
NO_RUN = "0197f2b4-0000-7000-8000-000000000000"


def test_a_schedule_is_added_and_its_next_fires_are_told(cli):
    """The id alone on standard output."""
    result = cli(
        "schedules", "add", TYPE, "0 9 * * 1", '{"week": true}', "--tz", "America/New_York", "--misfire", "skip"
    )
    (shown,) = cli("schedules", "list", "--json").json["schedules"]

    assert result.code == 0
    assert result.out.strip() == shown["id"]
    assert [line.startswith("next fires  2") for line in result.err.splitlines()] == [True, False, False]
    assert (shown["cron"], shown["timezone"], shown["misfire"]) == ("0 9 * * 1", "America/New_York", "skip")
    assert (shown["payload"], shown["enabled"], shown["last_error"]) == ({"week": True}, True, None)


def test_a_schedule_is_paused_resumed_run_changed_and_deleted(cli):
    """Each says what became of it."""
    added = cli("schedules", "add", TYPE, "@daily", "--json").json
    schedule_id = added["id"]

    paused = cli("schedules", "pause", schedule_id)
    noted = cli("schedules", "list").out.splitlines()
    resumed = cli("schedules", "resume", schedule_id)
    run_id = cli("schedules", "run", schedule_id).out.strip()
    updated = cli("schedules", "update", schedule_id, "--cron", "*/5 * * * *", "--payload", "[1]", "--json").json
    shown = cli("schedules", "show", schedule_id)
    deleted = cli("schedules", "delete", schedule_id)

    assert len(added["next_fires"]) == len(updated["next_fires"]) == 3
    assert paused == (0, f"{schedule_id} paused\n", "")
    assert noted[0].split() == ["ID", "NEXT", "TYPE", "CRON"]
    assert noted[1].split() == [schedule_id, "paused", TYPE, "0", "0", "*", "*", "*", "UTC"]
    assert resumed.out.strip() == schedule_id
    assert cli("inbox", "show", run_id, "--json").json["type"] == TYPE
    assert "cron        */5 * * * *  (UTC)" in shown.out.splitlines()
    assert deleted == (0, f"{schedule_id} deleted\n", "")
    assert cli("schedules", "list") == (0, "", "no schedule matches\n")


@pytest.mark.parametrize("name", ["show", "pause", "resume", "delete", "run"])
def test_an_unknown_schedule_is_one_line(cli, name, error_of):
    """Exit code 1."""
    error = error_of(cli("schedules", name, NO_RUN), 1)

    assert f"no schedule has the id {NO_RUN!r}; see the ids with 'schedules list'" in error


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([TYPE, "0 9 * *"], "0 9 * *"),
        ([TYPE, "61 * * * *"], "61"),
        ([TYPE, "@daily", "--tz", "Mars/Olympus"], "Mars/Olympus"),
        ([TYPE, "@daily", "--misfire", "sometimes"], "sometimes"),
        (["bad type", "@daily"], "bad type"),
        ([TYPE, "@daily", "{"], "is no JSON"),
        ([TYPE, "@daily", "--max-attempts", "0"], "max_attempts is 0"),
    ],
)
def test_a_wrong_schedule_is_one_line(cli, words, why, error_of):
    """Exit code 2, and nothing is stored."""
    assert why in error_of(cli("schedules", "add", *words), 2)
    assert cli("schedules", "list", "--json").json["schedules"] == []
