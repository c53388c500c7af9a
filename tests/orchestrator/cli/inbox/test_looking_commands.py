"""``inbox list``, ``show``, ``events`` and ``stats``."""

import pytest

from orchestrator.inbox.store.records import Failed, Succeeded

TYPE = "shop.receipt.v1"
NO_RUN = "0197f2b4-0000-7000-8000-000000000000"


def test_list_shows_the_newest_first_and_pages(cli):
    """The cursor is that which the page before named; the last page names none."""
    ids = [cli("inbox", "submit", TYPE, str(number)).out.strip() for number in range(3)]

    first = cli("inbox", "list", "--limit", "2", "--json").json
    second = cli("inbox", "list", "--limit", "2", "--cursor", first["next"], "--json").json

    assert [run["id"] for run in first["runs"] + second["runs"]] == ids[::-1]
    assert second["next"] is None


def test_list_is_a_table_in_a_pipe(cli, execute):
    """One line for each run; what one would ask next is in the note."""
    failed = cli("inbox", "submit", TYPE, "--max-attempts", "1").out.strip()
    execute(Failed("ValueError: no\nprinter \x1b[31m", None))
    leased = cli("inbox", "submit", TYPE).out.strip()
    execute(None)
    waiting = cli("inbox", "submit", TYPE, "--delay", "2h", "--key", "r:9").out.strip()

    result = cli("inbox", "list")

    lines = result.out.splitlines()
    assert (result.code, result.err) == (0, "")
    assert lines[0].split() == ["ID", "STATE", "AGE", "FAILED", "TYPE", "NOTE"]
    assert [line.split()[:2] for line in lines[1:]] == [[waiting, "pending"], [leased, "leased"], [failed, "failed"]]
    assert lines[1].endswith(("key r:9; due in 2 h", "key r:9; due in 1 h 59 min"))
    assert "by host-12; lease ends in " in lines[2]
    assert lines[3].endswith("ValueError: no\\nprinter \\x1b[31m")


def test_a_page_that_has_another_behind_it_says_how_to_go_on(cli):
    """On standard error."""
    for _ in range(2):
        cli("inbox", "submit", TYPE)

    result = cli("inbox", "list", "--limit", "1")

    assert len(result.out.splitlines()) == 2
    assert result.err.startswith("there are more: --cursor ")


def test_list_takes_only_what_matches(cli):
    """By type, state and key."""
    one = cli("inbox", "submit", TYPE, "--key", "k").out.strip()
    other = cli("inbox", "submit", "other.v1").out.strip()
    cli("inbox", "cancel", other)

    by = [
        [run["id"] for run in cli("inbox", "list", *words, "--json").json["runs"]]
        for words in (["--type", TYPE], ["--state", "cancelled"], ["--key", "k"], ["--key", "nothing"])
    ]

    assert by == [[one], [other], [one], []]
    assert cli("inbox", "list", "--key", "nothing") == (0, "", "no run matches\n")


@pytest.mark.parametrize(
    ("words", "why"), [(["--limit", "0"], "limit is 0"), (["--limit", "1001"], "1 to 1000"), (["--cursor", "x"], "'x'")]
)
def test_a_wrong_page_is_one_line(cli, words, why, error_of):
    """Exit code 2."""
    assert why in error_of(cli("inbox", "list", *words), 2)


def test_show_lays_out_the_whole_run(cli, execute):
    """A line for each field, a block for each long one."""
    run_id = cli("inbox", "submit", TYPE, '{"order": {"number": 7}}', "--key", "r:7").out.strip()
    execute(Succeeded('{"receipt": 8}'))

    lines = cli("inbox", "show", run_id).out.splitlines()

    assert lines[:2] == [f"id          {run_id}", f"type        {TYPE}"]
    assert lines[2].startswith("state       succeeded, since 2")
    assert "attempts    0 of 3 failed; claims 1" in lines
    assert "key         r:7" in lines
    start = lines.index("payload")
    assert lines[start:] == [
        "payload",
        "  {",
        '    "order": {',
        '      "number": 7',
        "    }",
        "  }",
        "result",
        "  {",
        '    "receipt": 8',
        "  }",
    ]


def test_show_has_stable_keys_for_scripts(cli, execute):
    """All that is stored; times are UTC."""
    run_id = cli("inbox", "submit", TYPE, "7").out.strip()
    execute(Failed("ValueError: no", 600.0))

    shown = cli("inbox", "show", run_id, "--json").json

    assert list(shown) == [
        "id", "type", "state", "priority", "run_at", "idempotency_key", "unique", "attempt", "max_attempts", "claims",
        "fence", "leased_by", "lease_until", "last_error", "created_at", "updated_at", "payload", "result",
    ]  # fmt: skip
    assert (shown["state"], shown["attempt"], shown["last_error"]) == ("pending", 1, "ValueError: no")
    assert shown["created_at"].endswith("Z")


def test_events_tell_the_history(cli, execute):
    """Oldest first, as a table and as JSON."""
    run_id = cli("inbox", "submit", TYPE).out.strip()
    execute(Succeeded("null"))

    lines = cli("inbox", "events", run_id).out.splitlines()
    shown = cli("inbox", "events", run_id, "--json").json["events"]

    assert lines[0].split() == ["TIME", "AGE", "EVENT", "DATA"]
    assert [event["type"] for event in shown] == ["created", "leased", "started", "succeeded"]
    assert {event["run_id"] for event in shown} == {run_id}
    assert [line.split()[3] for line in lines[1:]] == ["created", "leased", "started", "succeeded"]


@pytest.mark.parametrize("words", [["show"], ["events"]])
@pytest.mark.parametrize("run_id", [NO_RUN, "nonsense", ""])
def test_an_unknown_run_is_one_line(cli, words, run_id, error_of):
    """Exit code 1."""
    assert f"no run has the id {run_id!r}; see the ids with 'inbox list'" in error_of(cli("inbox", *words, run_id), 1)


def test_stats_count_by_type_and_state(cli):
    """With a sum when there are several types, and how long the oldest due one waits."""
    cli("inbox", "submit", TYPE)
    cli("inbox", "submit", TYPE, "--delay", "1h")
    cli("inbox", "cancel", cli("inbox", "submit", "other.v1").out.strip())

    shown = cli("inbox", "stats", "--json").json
    lines = cli("inbox", "stats").out.splitlines()

    assert shown["counts"] == [
        {"type": "other.v1", "state": "cancelled", "count": 1},
        {"type": TYPE, "state": "pending", "count": 2},
    ]
    assert shown["oldest_due_age"] < 60
    assert [line.split() for line in lines[:4]] == [
        ["TYPE", "PENDING", "LEASED", "SUCCEEDED", "FAILED", "CANCELLED"],
        ["other.v1", "-", "-", "-", "-", "1"],
        [TYPE, "2", "-", "-", "-", "-"],
        ["all", "2", "0", "0", "0", "1"],
    ]
    assert lines[-1].startswith("the oldest due run has waited for ")


def test_stats_of_an_empty_inbox(cli):
    """A sentence, and stable keys."""
    assert cli("inbox", "stats") == (0, "the inbox is empty\n", "")
    assert cli("inbox", "stats", "--json").json == {"counts": [], "oldest_due": None, "oldest_due_age": None}
