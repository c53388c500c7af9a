"""Connection URLs."""

from pathlib import Path

import pytest

from orchestrator.sql import DatabaseUrlError, sqlite_path


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///var/lib/state.db", "/var/lib/state.db"),
        ("sqlite3:///var/lib/state.db", "/var/lib/state.db"),
        ("SQLite:///Var/State.db", "/Var/State.db"),
        ("sqlite://:memory:", ":memory:"),
        ("sqlite://", ":memory:"),
    ],
)
def test_a_sqlite_url_names_a_path(url, path):
    """The scheme may be written in any case, the path keeps its own."""
    assert sqlite_path(url) == path


def test_a_relative_path_is_below_the_working_directory(tmp_path, monkeypatch):
    """It is resolved at once, so that errors print the whole path."""
    monkeypatch.chdir(tmp_path)

    assert sqlite_path("sqlite://data/state.db") == str(Path(tmp_path, "data/state.db"))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgres://user:secret@host/db", "SQLite is needed here"),
        ("PostgreSQL://user:secret@host/db", "SQLite is needed here"),
        ("mysql://user:secret@host/db", "unknown scheme 'mysql'"),
        ("/var/lib/state.db", "has no scheme"),
        ("", "has no scheme"),
        ("sqlite:///state.db?mode=ro", "parameters"),
        ("sqlite:///state\0.db", "NUL"),
    ],
)
def test_any_other_url_is_refused_with_the_remedy(url, said):
    """The message shows the value, never its password, and what to write instead."""
    with pytest.raises(DatabaseUrlError, match=said) as caught:
        sqlite_path(url)

    assert "secret" not in str(caught.value)
    assert caught.value.permanent
