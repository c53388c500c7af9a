"""``migrate``, and databases that are not as they should be."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

TYPE = "shop.receipt.v1"
NO_RUN = "0197f2b4-0000-7000-8000-000000000000"


def test_migrate_makes_the_tables_once(command, url):
    """And says what it did; status says how things are, and changes nothing."""
    before = command("migrate", "status", "--url", url)
    made = command("migrate", "--url", url)
    again = command("migrate", "--url", url, "--json").json["batteries"]
    after = command("migrate", "status", "--url", url)

    assert (before.code, after.code, made.code) == (1, 0, 0)
    assert before.err.startswith("'inbox' in ")
    assert "is not there yet (version 0, wanted" in before.err
    assert after.err == ""
    assert [line.split()[:2] for line in made.out.splitlines()] == [["BATTERY", "DONE"], ["inbox", "made,"]]
    assert again[0]["before"] == again[0]["version"] > 0
    assert "hunter22" not in made.out


READING = (
    ["inbox", "list"],
    ["inbox", "show", NO_RUN],
    ["inbox", "events", NO_RUN],
    ["inbox", "stats"],
    ["inbox", "submit", TYPE],
    ["inbox", "cancel", NO_RUN],
    ["inbox", "retry", "--state", "failed"],
    ["inbox", "purge", "--older-than", "1d", "--yes"],
    ["schedules", "list"],
    ["schedules", "add", TYPE, "@daily"],
)


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_nothing_but_migrate_makes_a_file_that_is_not_there(command, tmp_path, words, error_of):
    """A wrong path is told, and no intent is lost in it."""
    error = error_of(command(*words, "--url", "sqlite://sub/x.db"), 2)

    assert f"there is no database at {tmp_path}/sub/x.db" in error
    assert "'migrate'" in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_tables_that_are_not_there_are_told_with_the_remedy(command, postgres_url, words, error_of):
    """And are not made."""
    error = error_of(command(*words, "--url", postgres_url), 2)

    assert "the 'inbox' tables in postgresql://" in error
    assert "are missing, and this release needs version" in error
    assert "migrate" in error
    assert command("migrate", "status", "--url", postgres_url).code == 1


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_a_file_of_another_program_is_told_by_what_it_holds(command, tmp_path, words, error_of):
    """A wrong path is seen at once; it is left as it was."""
    with closing(sqlite3.connect(tmp_path / "music.db")) as connection:
        for name in ("track", "album", "artist", "genre", "label"):
            connection.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY AUTOINCREMENT)")

        error = error_of(command(*words, "--url", "sqlite://music.db"), 2)

        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchone()
    assert f"the 'inbox' tables in {tmp_path}/music.db are missing, and this release needs version" in error
    assert "it holds other tables (album, artist, genre and 2 more): if it is the right database" in error
    assert "`orchestrator migrate [--url" in error
    assert tables == (5,)


def test_a_status_makes_no_file(command, tmp_path):
    """It says what there would be."""
    result = command("migrate", "status", "--url", "sqlite://x.db", "--json")

    (battery,) = json.loads(result.out)["batteries"]
    assert result.code == 1
    assert (battery["battery"], battery["version"], battery["up_to_date"]) == ("inbox", 0, False)
    assert battery["database"] == str(tmp_path / "x.db")
    assert list(tmp_path.iterdir()) == []


def test_tables_of_a_newer_release_are_left_alone(cli, within, execute, error_of):
    """By every command; the status says so."""

    async def newer(inbox):
        insert = "INSERT INTO orchestrator_schema (battery, version, applied_at) VALUES ('inbox', 99, ?)"
        stamp = "2030-01-01 00:00:00"
        await inbox.database.transaction(lambda connection: connection.execute(insert, (stamp,)))

    within(newer)

    status = cli("migrate", "status")
    assert "at version 99, but this release knows" in error_of(cli("inbox", "list"), 2)
    assert "at version 99, but this release knows" in error_of(cli("migrate"), 2)
    assert (status.code, "newer than this release" in status.err) == (1, True)


@pytest.mark.parametrize(
    ("url", "why", "code"),
    [
        ("mysql://root:hunter22@host/db", "unknown scheme 'mysql'", 2),
        ("nonsense", "has no scheme", 2),
        ("", "has no scheme", 2),
        ("sqlite://:memory:", "names a database that ends with this command", 2),
        ("sqlite://x.db?mode=ro", "SQLite takes none here", 2),
        ("sqlite://.", "unable to open database file", 2),
        (f"sqlite://{'x' * 300}", "File name too long", 2),
        ("postgresql://u:hunter22@127.0.0.1:1/db", "see that the server runs", 1),
        ("postgresql://u:hunt@er22@127.0.0.1/db", "percent-encode", 2),
    ],
)
@pytest.mark.parametrize("words", [["inbox", "list"], ["migrate"], ["migrate", "status"]], ids=" ".join)
def test_a_wrong_url_is_one_line_without_its_password(command, words, url, why, code, error_of):
    """Wrong is exit code 2; a server that does not answer may do so later, exit code 1."""
    error = error_of(command(*words, "--url", url), code)

    assert why in error
    assert "hunter22" not in error
    assert "er22" not in error


def test_a_file_that_is_no_database_is_left_untouched(command, tmp_path, error_of):
    """Exit code 2."""
    (tmp_path / "x.db").write_text("these are my notes")

    error = error_of(command("inbox", "list", "--url", "sqlite://x.db"), 2)

    assert "the file does not begin as an SQLite database" in error
    assert (tmp_path / "x.db").read_text() == "these are my notes"


def test_the_variable_names_the_database_when_there_is_no_service(command, url, monkeypatch):
    """By the name that the setting ``[state] url`` has."""
    command("migrate", "--url", url)
    monkeypatch.setenv("ORCHESTRATOR_STATE__URL", url)

    assert command("inbox", "stats").out == "the inbox is empty\n"


@pytest.mark.parametrize(
    "words",
    [
        ("inbox", "list"),
        ("inbox", "purge", "--older-than", "7d", "--yes"),
        ("schedules", "list"),
        ("migrate",),
        ("migrate", "status"),
    ],
)
def test_what_is_wrong_with_a_database_of_the_variable_is_told_with_the_variable(command, monkeypatch, words):
    """Nobody looks for it in a profile that was written months ago."""
    monkeypatch.setenv("ORCHESTRATOR_STATE__URL", "shop.db")

    result = command(*words)

    assert result.code == 2
    assert "error: the database URL 'shop.db' has no scheme" in result.err
    assert "\n  this database is named by ORCHESTRATOR_STATE__URL of the environment\n" in result.err


def test_a_file_of_the_variable_that_is_not_there_is_told_with_the_variable(command, monkeypatch):
    """And one of the command line without it."""
    said = command("inbox", "list", "--url", "sqlite://shop.db")
    monkeypatch.setenv("ORCHESTRATOR_STATE__URL", "sqlite://shop.db")
    named = command("inbox", "list")

    assert (said.code, named.code) == (2, 2)
    assert named.err == said.err + "  this database is named by ORCHESTRATOR_STATE__URL of the environment\n"


def test_without_any_database_all_ways_to_name_one_are_told(command):
    """Service, option, variable."""
    result = command("inbox", "list")

    assert result.code == 2
    assert "no service is named" in result.err
    assert "or name the database itself, with --url or ORCHESTRATOR_STATE__URL" in result.err


def test_the_url_may_stand_before_the_name_of_the_command(command, url):
    """The one behind it wins."""
    command("migrate", "--url", url)

    before = command("inbox", "--url", url, "stats")
    both = command("inbox", "--url", "nonsense", "stats", "--url", url)

    assert (before.code, both.code) == (0, 0)


@pytest.mark.parametrize("words", [["inbox"], ["inbox", "submit"], ["schedules", "add"], ["migrate"]], ids=" ".join)
def test_help_has_no_surprises(command, words):
    """Every percent sign is escaped, every example is shown."""
    result = command(*words, "--help")

    assert result.code == 0
    assert result.out.startswith("usage: ")
    assert ("examples:" in result.out) == (words != ["inbox"])
    assert Path("x.db").exists() is False
