"""``inbox cancel``, ``retry`` and ``purge``."""

import io
import sys

import pytest

from orchestrator.inbox.store.records import Failed, Succeeded

TYPE = "shop.receipt.v1"
NO_RUN = "0197f2b4-0000-7000-8000-000000000000"


def test_cancel_tells_what_became_of_each(cli, execute):
    """One that is not there stops no other; exit code 1."""
    done = cli("inbox", "submit", TYPE).out.strip()
    execute(Succeeded("null"))
    one, two = (cli("inbox", "submit", TYPE).out.strip() for _ in range(2))

    result = cli("inbox", "cancel", one, NO_RUN, done, two, one)

    assert (result.code, result.out) == (1, "2 cancelled, 2 not\n")
    assert len(result.err.splitlines()) == 2
    assert f"run {done} is succeeded; cancel is not possible from there: it has ended already\n" in result.err
    assert [cli("inbox", "show", each, "--json").json["state"] for each in (one, two)] == ["cancelled"] * 2
    assert cli("inbox", "cancel", one, "--json").json == {"cancelled": [one], "refused": []}


def test_retry_by_id(cli, execute):
    """A failed run is pending again."""
    run_id = cli("inbox", "submit", TYPE).out.strip()
    execute(Failed("ValueError: no", None))

    result = cli("inbox", "retry", run_id)

    assert result == (0, "1 retried\n", "")
    assert cli("inbox", "show", run_id, "--json").json["state"] == "pending"


def test_a_run_that_cannot_be_retried_is_told_with_what_to_do_instead(cli, execute):
    """It waits, is at work, or has succeeded."""
    run_id = cli("inbox", "submit", TYPE).out.strip()

    waiting = cli("inbox", "retry", run_id)
    execute(None)
    at_work = cli("inbox", "retry", run_id)
    cli("inbox", "cancel", run_id)
    cli("inbox", "retry", run_id)
    execute(Succeeded("null"))
    done = cli("inbox", "retry", run_id)

    assert (waiting.code, at_work.code, done.code) == (1, 1, 1)
    assert waiting.err.endswith("is pending; retry is not possible from there: it is tried anyway when it is due\n")
    assert at_work.err.endswith(
        "is leased; retry is not possible from there: a worker has it; cancel it first to begin anew\n"
    )
    assert "is succeeded; retry is not possible from there: submit its intent once more" in done.err


def test_retry_by_state(cli, execute):
    """So many of a type, told with their number; again until none is left."""
    for _ in range(3):
        cli("inbox", "submit", TYPE)
    execute(Failed("ValueError: no", None))

    none = cli("inbox", "retry", "--state", "failed", "--type", "other.v1", "--json").json
    some = cli("inbox", "retry", "--state", "failed", "--type", TYPE, "--limit", "2")
    rest = cli("inbox", "retry", "--state", "failed")

    assert none == {"count": 0}
    assert (some.code, some.out) == (0, "2 retried\n")
    assert some.err.startswith("perhaps there are more")
    assert rest == (0, "1 retried\n", "")


def test_purge_deletes_what_ended_long_ago(cli):
    """Of the states that were named; what goes on is never touched."""
    cancelled = cli("inbox", "submit", TYPE).out.strip()
    cli("inbox", "cancel", cancelled)
    cli("inbox", "submit", TYPE)

    young = cli("inbox", "purge", "--older-than", "7d", "--yes", "--json").json
    other = cli("inbox", "purge", "--older-than", "0", "--state", "succeeded", "--yes")
    result = cli("inbox", "purge", "--older-than", "0", "--yes")

    assert young == {"purged": 0}
    assert other == (0, "0 deleted\n", "")
    assert result == (0, "1 deleted\n", "")
    assert [run["state"] for run in cli("inbox", "list", "--json").json["runs"]] == ["pending"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 1, 1), ("", 1, 1)])
def test_purge_asks_on_a_terminal(cli, monkeypatch, answer, code, left):
    """Anything but yes leaves all as it was."""
    cli("inbox", "cancel", cli("inbox", "submit", TYPE).out.strip())
    monkeypatch.setattr(sys, "stdin", Terminal(answer))

    result = cli("inbox", "purge", "--older-than", "0s", "--state", "cancelled")

    assert result.code == code
    assert "Delete all runs that are cancelled and ended more than 0 s ago from " in result.err
    assert len(cli("inbox", "list", "--json").json["runs"]) == left
