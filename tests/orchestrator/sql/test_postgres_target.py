"""Which server, database and schema a PostgreSQL URL means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.sql import DatabaseUrlError
from orchestrator.sql.postgres import Target
from orchestrator.sql.url import without_password


@pytest.fixture(autouse=True)
def without_environment(monkeypatch):
    """No PGHOST and the like of whoever runs the tests."""
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGSERVICE", "PGOPTIONS", "PGPASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("postgresql://u:pw@h:6000/d", "postgresql://u@h:6000/d?schema=workflow"),
        ("postgres://u@h/d?schema=my-schema", "postgresql://u@h:5432/d?schema=my-schema"),
        ("POSTGRES://u@h/D?schema=Own", "postgresql://u@h:5432/D?schema=Own"),
        ("PostgreSQL://u@h/d?search_path=Own", "postgresql://u@h:5432/d?schema=own"),
        ("postgresql://u@h/d?search_path=%22Own%22", "postgresql://u@h:5432/d?schema=Own"),
        ("postgresql://u@h1:1,h2:2/d", "postgresql://u@h1:1,h2:2/d?schema=workflow"),
        ("postgresql://u@[::1]:7/d", "postgresql://u@[::1]:7/d?schema=workflow"),
        ("postgresql://u:a?b@h/d?schema=s", "postgresql://u@h:5432/d?schema=s"),
        ("postgresql://u%40x:p%2Fw@h/d%20e", "postgresql://u%40x@h:5432/d%20e?schema=workflow"),
        ("postgresql:///d?host=/run/pg&user=u&password=secret", "postgresql://u@/run/pg:5432/d?schema=workflow"),
    ],
)
def test_a_url_is_resolved_without_its_password(url, where):
    """What errors print names everything that libpq would use."""
    assert Target.of(url).where == where


def test_what_the_url_leaves_out_comes_from_the_environment(monkeypatch):
    """As for every program that uses libpq."""
    monkeypatch.setenv("PGHOST", "db.internal")
    monkeypatch.setenv("PGPORT", "6543")
    monkeypatch.setenv("PGUSER", "me")

    assert Target.of("postgresql://").where == "postgresql://me@db.internal:6543/me?schema=workflow"


def test_parameters_of_libpq_reach_it_as_they_are_meant():
    """Percent signs are decoded once, an ampersand in a value is no new parameter; ours give way to the URL's."""
    parameters = Target.of(
        "postgresql://u@h/d?options=-c%20work_mem%3D5MB&application_name=a%26b&connect_timeout=3"
    ).parameters

    assert parameters["options"] == "-c work_mem=5MB"
    assert parameters["application_name"] == "a&b"
    assert parameters["connect_timeout"] == "3"
    assert parameters["tcp_user_timeout"] == "30000"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://u:secret@h/d?schema=a&search_path=b", "names its schema 2 times"),
        ("postgresql://u:secret@h/d?schema=a&schema=a", "names its schema 2 times"),
        ("postgresql://u:secret@h/d?search_path=a,b", "several schemas"),
        ("postgresql://u:secret@h/d?schema=", "the schema is ''"),
        ("postgresql://u:secret@h/d?schema=" + "x" * 64, "takes 64 bytes"),
        ("postgresql://u:secret@h/d?schema=a%00b", "the schema is"),
        ("postgresql://u:secret@h/d?schema=pg_catalog", "the server's own schema"),
        ("postgresql://u:secret@h/d?options=-csearch_path%3Dx", "search_path in its options"),
        ("postgresql://u:secret@h/d?shcema=a", 'invalid URI query parameter: "shcema"'),
        ("postgresql://u:sec%ret@h/d", "cannot be understood"),
        ("postgresql://u:secr/et@h/d", "percent-encode"),
        ("postgresql://u@h/d?password=sec%ret", "cannot be understood"),
        ("postgresql://u:secret@h:port/d", "no host:port/database"),
        ("postgresql://u:1/secret@h/d", "percent-encode"),
        ("postgresql://u:@secret@h/d", "percent-encode"),
        ("postgresql://u:secret@[::1/d", "cannot be understood"),
        ("mysql://u:secret@h/d", "does not name PostgreSQL"),
    ],
)
def test_a_wrong_url_is_refused_without_its_password(url, said):
    """With what is wrong and what to write instead."""
    with pytest.raises(DatabaseUrlError, match=said) as caught:
        Target.of(url)

    assert "sec" not in str(caught.value)
    assert caught.value.__cause__ is None


@given(st.text(alphabet="abc:/?@&=%#[]'\" ", max_size=12))
def test_no_password_is_ever_shown(junk):
    """However it is spelt, and whatever stands around it."""
    for url in (f"postgresql://user:{junk}S3CRET{junk}@host/db", f"postgresql://host/db?password=S3CRET&x={junk}"):
        assert "S3CRET" not in without_password(url)
        try:
            shown = Target.of(url).where
        except DatabaseUrlError as error:
            shown = str(error)
        assert "S3CRET" not in shown
