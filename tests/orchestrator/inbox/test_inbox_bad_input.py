"""What bad input gets, from a URL to a payload: one typed error each that names the value and the remedy."""

import builtins
import math
import sqlite3
from datetime import datetime, timedelta, timezone

import pytest

from orchestrator.inbox import Inbox, Intent, InvalidIntent, InvalidPayload, PayloadTooLarge
from orchestrator.sql import (
    DatabaseCorrupt,
    DatabaseUnreachable,
    DatabaseUrlError,
    DriverMissing,
    MigrationFailed,
    SqlError,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["sqlite", "postgresql"])
async def inbox(request, tmp_path, anyio_backend):
    """An inbox in a database of each kind."""
    url = f"sqlite://{tmp_path}/state.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    async with Inbox.open(url, payload_limit=100) as opened:
        yield opened


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("mysql://me:secret@host/db", DatabaseUrlError, "unknown scheme 'mysql'; use sqlite:///"),
        ("state.db", DatabaseUrlError, "'state.db' has no scheme; use sqlite:///"),
        ("", DatabaseUrlError, "has no scheme"),
        ("sqlite:///x.db?mode=ro", DatabaseUrlError, "parameters"),
        (
            "postgresql://me:secret@127.0.0.1:1/db",
            DatabaseUnreachable,
            r"me@127\.0\.0\.1:1/db.*see that the server runs",
        ),
        ("PostgreSQL://me:secret@127.0.0.1:1/db", DatabaseUnreachable, "schema=workflow"),
        ("postgres://me:secret@host/db?schema=a&search_path=b", DatabaseUrlError, "names its schema 2 times"),
        ("postgres://me:secret@host/db?search_path=a,b", DatabaseUrlError, "several schemas"),
        ("postgres://me:secret@ho st/db", SqlError, "host"),
        ("postgres://me:sec/ret@host/db", DatabaseUrlError, "percent-encode"),
    ],
)
async def test_a_wrong_url_is_one_clear_error_without_its_password(url, error, said):
    """The value, and what to write instead."""
    with pytest.raises(error, match=said) as caught:
        async with Inbox.open(url):
            pass

    shown = str(caught.value)
    assert "secret" not in shown
    assert "ret@" not in shown


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite3", "SQLite", "SQLITE3"])
async def test_any_spelling_of_the_scheme_opens_the_file(tmp_path, scheme):
    """Absolute with three slashes."""
    async with Inbox.open(f"{scheme}://{tmp_path}/Some/State.db") as inbox:
        await inbox.submit("mail.v1", 1)

    assert (tmp_path / "Some" / "State.db").exists()


async def test_memory_lives_as_long_as_the_block():
    """For trying things out."""
    async with Inbox.open("sqlite://:memory:") as inbox:
        assert (await inbox.get(await inbox.submit("mail.v1", 1))).payload == "1"


async def test_a_missing_driver_names_the_extra_to_install(monkeypatch):
    """Nothing is opened."""
    real = builtins.__import__

    def without_psycopg(name, *rest, **options):
        if name.partition(".")[0] == "psycopg":
            raise ImportError("No module named 'psycopg'")
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without_psycopg)

    with pytest.raises(DriverMissing, match=r"pip install .*\[postgres\]") as caught:
        async with Inbox.open("postgresql://me:secret@host/db"):
            pass
    assert "secret" not in str(caught.value)


async def test_a_file_that_is_no_database_is_left_untouched(tmp_path):
    """It may be somebody's letter."""
    (tmp_path / "letter.db").write_text("Dear Sir")

    with pytest.raises(DatabaseCorrupt, match=r"letter\.db.*left untouched"):
        async with Inbox.open(f"sqlite://{tmp_path}/letter.db"):
            pass

    assert (tmp_path / "letter.db").read_text() == "Dear Sir"


async def test_tables_of_the_same_name_and_another_shape_are_refused(tmp_path):
    """The migration is rolled back; what was there is there."""
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("CREATE TABLE workflow_run (mine TEXT)")
    connection.close()

    with pytest.raises(MigrationFailed, match="something else created tables"):
        async with Inbox.open(f"sqlite://{tmp_path}/state.db"):
            pass

    with sqlite3.connect(tmp_path / "state.db") as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE name LIKE 'workflow%'")]
    connection.close()
    assert tables == ["workflow_run"]


NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001 - what is refused
FIRST = datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))


@pytest.mark.parametrize(
    ("payload", "options", "error", "said"),
    [
        (object(), {}, InvalidPayload, "the payload cannot be stored as JSON: .*use dict, list"),
        ({"a": math.nan}, {}, InvalidPayload, r"at \['a'\] .*nan is not JSON compliant; use None"),
        ({"a": "b\0"}, {}, InvalidPayload, r"at \['a'\] .*NUL character, which no database stores; remove it"),
        ("x" * 99, {}, PayloadTooLarge, "101 bytes of JSON, 100 is the most; store it elsewhere"),
        (1, {"run_at": NAIVE}, InvalidIntent, r"run_at is datetime.*give a datetime with a time zone"),
        (1, {"run_at": FIRST}, InvalidIntent, "run_at is datetime.*no time of UTC"),
        (1, {"run_at": "tomorrow"}, InvalidIntent, "run_at is 'tomorrow'; give a datetime"),
        (1, {"delay": -1}, InvalidIntent, "delay is -1; give seconds from 0"),
        (1, {"delay": timedelta(seconds=1)}, InvalidIntent, "delay is datetime.timedelta.*give seconds"),
        (1, {"priority": "high"}, InvalidIntent, "priority is 'high'; give a 32-bit whole number"),
        (1, {"max_attempts": 0}, InvalidIntent, "max_attempts is 0; give a whole number of at least 1"),
        (1, {"idempotency_key": "a\0"}, InvalidIntent, "idempotency_key is .*without NUL"),
        (1, {"idempotency_key": "active:x"}, InvalidIntent, "'active:' at its beginning is kept.*begin it otherwise"),
        (1, {"unique": True}, InvalidIntent, "unique is True without an idempotency_key; say with one"),
        (1, {"unique": 1, "idempotency_key": "k"}, InvalidIntent, "unique is 1; give True or False"),
    ],
)
async def test_a_wrong_intent_is_one_clear_error_and_nothing_is_stored(inbox, payload, options, error, said):
    """Alone, among others, and in a transaction, which goes on."""
    with pytest.raises(error, match=f"intent 'mail.v1': .*{said}|intent 'mail.v1': {said}"):
        await inbox.submit("mail.v1", payload, **options)
    with pytest.raises(error):
        await inbox.submit_many([Intent("mail.v1", 1), Intent("mail.v1", payload, **options)])

    def work(connection):
        with pytest.raises(error):
            inbox.submit_in(connection, "mail.v1", payload, **options)
        return inbox.submit_in(connection, "mail.v1", "kept")

    kept = await inbox.database.transaction(work)

    assert [run.id for run in (await inbox.list()).runs] == [kept]


async def test_a_key_of_the_greatest_length_is_stored_unique_or_not(inbox):
    """In any script; one character more is refused."""
    key = "\U0001f600" * 512

    first = await inbox.submit("mail.v1", 1, idempotency_key=key)
    unique = await inbox.submit("mail.v1", 1, idempotency_key=key, unique=True)

    assert first != unique
    assert await inbox.submit("mail.v1", 2, idempotency_key=key, unique=True) == unique
    with pytest.raises(InvalidIntent, match="give 1 to 512 characters"):
        await inbox.submit("mail.v1", 1, idempotency_key=key + "x")
