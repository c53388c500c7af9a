"""``inbox submit``, and what is wrong usage of ``inbox``."""

import io
import json
import sys
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.inbox.store.records import Succeeded

TYPE = "shop.receipt.v1"
NO_RUN = "0197f2b4-0000-7000-8000-000000000000"


def test_submit_prints_the_id_alone(cli, within):
    """For scripts; the run is there, with everything that was given."""
    result = cli("inbox", "submit", TYPE, '{"order": 7}', "--key", "r:7", "--priority", "5", "--max-attempts", "9")

    run = within(lambda inbox: inbox.get(result.out.strip()))
    assert (result.code, result.err) == (0, "")
    assert (run.type, json.loads(run.payload), run.idempotency_key) == (TYPE, {"order": 7}, "r:7")
    assert (run.priority, run.max_attempts, run.state) == (5, 9, "pending")


def test_a_known_key_gives_the_run_that_has_it_and_says_so(cli):
    """On standard error, so that the id stays alone on standard output."""
    first = cli("inbox", "submit", TYPE, "--key", "r:7")
    second = cli("inbox", "submit", TYPE, "--key", "r:7")
    third = cli("inbox", "submit", TYPE, "--key", "r:7", "--json")

    assert (second.code, second.out) == (0, first.out)
    assert second.err == "nothing was stored: the key 'r:7' is that of this run already\n"
    assert third.json == {"id": first.out.strip(), "existed": True}


def test_a_unique_key_is_free_again_when_its_run_has_ended(cli, execute):
    """And is shown as it was given."""
    first = cli("inbox", "submit", TYPE, "--key", "sync", "--unique", "--json").json
    again = cli("inbox", "submit", TYPE, "--key", "sync", "--unique", "--json").json
    execute(Succeeded("null"))
    other = cli("inbox", "submit", TYPE, "--key", "sync", "--unique", "--json").json

    shown = cli("inbox", "show", first["id"], "--json").json
    assert (again["id"], again["existed"]) == (first["id"], True)
    assert (other["existed"], other["id"] == first["id"]) == (False, False)
    assert (shown["idempotency_key"], shown["unique"], shown["state"]) == ("sync", True, "succeeded")


def test_the_payload_comes_from_standard_input_or_a_file(cli, tmp_path, monkeypatch):
    """``-`` and ``@FILE``; left out it is an empty object."""
    (tmp_path / "p.json").write_text('\ufeff{"caf\u00e9": [1.5, null]}', encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'"from stdin"')))

    ids = [cli("inbox", "submit", TYPE, *said).out.strip() for said in (["-"], ["@p.json"], [])]

    payloads = [cli("inbox", "show", run_id, "--json").json["payload"] for run_id in ids]
    assert payloads == ["from stdin", {"café": [1.5, None]}, {}]


@pytest.mark.parametrize("when", [["--delay", "1h30m"], ["--at", "2999-01-01T00:00:00Z"]])
def test_a_run_may_be_for_later(cli, when):
    """By a duration in words, or by a time with its zone."""
    run_id = cli("inbox", "submit", TYPE, *when).out.strip()

    due = datetime.fromisoformat(cli("inbox", "show", run_id, "--json").json["run_at"])
    wanted = datetime(2999, 1, 1, tzinfo=UTC) if when[0] == "--at" else datetime.now(UTC) + timedelta(minutes=90)
    assert abs((due - wanted).total_seconds()) < 60


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('{"order": }', "is no JSON: Expecting value (line 1, column 11); there stands '}'"),
        ('{"a": 1', "is no JSON: Expecting ',' delimiter (line 1, column 8); it ends there"),
        ("{'a': 1}", "is no JSON: Expecting property name enclosed in double quotes (line 1, column 2)"),
        ("NaN", "is no JSON: NaN is none of its values"),
        (
            "{order: 7}",
            """there stands 'order: 7}'; quote it for the shell, as '{"order": 7}', or give it as @FILE or -""",
        ),
        ("@", "the payload is '@' without a file; write its name behind it, as @report.json"),
        ("[" * 100_000, "is no JSON: it is nested too deeply"),
        ("@nowhere.json", "in 'nowhere.json' cannot be read: No such file or directory"),
        ("@.", "in '.' cannot be read: Is a directory"),
        ("@latin.json", "in 'latin.json' is no UTF-8 text: invalid start byte at byte 1"),
        (json.dumps("x" * 1_100_000), "is 1100002 bytes of JSON, 1048576 is the most"),
        (r'"a\u0000b"', "has a NUL character"),
        (r'"\ud800"', "cannot be stored as JSON"),
    ],
)
def test_a_wrong_payload_is_one_line_with_the_place(cli, tmp_path, said, why, error_of):
    """Exit code 2, and nothing is stored."""
    (tmp_path / "latin.json").write_bytes(b'"\xff"')

    result = cli("inbox", "submit", TYPE, said)

    assert why in error_of(result, 2)
    assert cli("inbox", "list", "--json").json["runs"] == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["bad type"], "the intent type is 'bad type'"),
        ([TYPE, "--max-attempts", "0"], "max_attempts is 0"),
        ([TYPE, "--priority", "99999999999"], "priority is 99999999999"),
        ([TYPE, "--delay", "90000w"], "delay is"),
        ([TYPE, "--key", ""], "idempotency_key is ''"),
    ],
)
def test_a_wrong_intent_is_one_line(cli, words, why, error_of):
    """Exit code 2, and nothing is stored."""
    assert why in error_of(cli("inbox", "submit", *words), 2)
    assert cli("inbox", "list", "--json").json["runs"] == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["submit", TYPE, "--delay", "soon"], "'soon' is no duration; write 30s, 5m, 1h30m"),
        (["submit", TYPE, "--at", "2030-01-01T00:00:00"], "has no time zone"),
        (["submit", TYPE, "--at", "2030-01-01T00:00:00Z", "--delay", "1s"], "not allowed with argument"),
        (["submit", TYPE, "--unique"], "--unique says how long a --key is taken"),
        (["submit", TYPE, "--priority", "high"], "invalid int value: 'high'"),
        (["list", "--state", "done"], "invalid choice: 'done'"),
        (["purge", "--older-than", "7d"], "nobody can be asked here; give --yes"),
        (["purge", "--yes"], "the following arguments are required: --older-than"),
        (["purge", "--older-than", "7d", "--state", "pending", "--yes"], "invalid choice: 'pending'"),
        (["retry"], "give ids, or --state"),
        (["retry", "--type", TYPE], "give ids, or --state"),
        (["retry", NO_RUN, "--state", "failed"], "not both"),
        (["retry", NO_RUN, "--limit", "3"], "--type and --limit go with --state"),
        (["show", "\udcff"], "'\\udcff' is no UTF-8 text"),
        (["list", "--key", "\udcff"], "'\\udcff' is no UTF-8 text"),
        (["cancel"], "the following arguments are required: ID"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_wrong_usage_is_exit_code_two(command, words, why, monkeypatch):
    """With the usage of the command; no database is looked for."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))

    result = command("inbox", *words)

    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("usage: ")
    assert why in result.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["submit", TYPE, "-"], "error: the payload on standard input cannot be read: it is closed"),
        (["purge", "--older-than", "7d"], "nobody can be asked here; give --yes"),
    ],
)
def test_a_closed_standard_input_is_told(command, monkeypatch, words, why):
    """As daemons and some schedulers have it."""
    monkeypatch.setattr(sys, "stdin", None)

    result = command("inbox", *words)

    assert (result.code, result.out) == (2, "")
    assert why in result.err.splitlines()[-1]
