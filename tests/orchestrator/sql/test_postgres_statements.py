"""Statements with ? and :name become PostgreSQL's own."""

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.sql.postgres.statements import translated


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("SELECT 1", "SELECT 1"),
        ("SELECT ?, ?", "SELECT $1, $2"),
        ("SELECT :a, :b, :a", "SELECT $1, $2, $1"),
        ("SELECT ?::text", "SELECT $1::text"),
        ("SELECT :a::text", "SELECT $1::text"),
        ("SELECT '?' || ? || ':a'", "SELECT '?' || $1 || ':a'"),
        ("SELECT 'it''s ?', ?", "SELECT 'it''s ?', $1"),
        (r"SELECT E'\'?', ?", r"SELECT E'\'?', $1"),
        ("SELECT nam'?'", "SELECT nam'?'"),
        ('SELECT "a?""b" = ?', 'SELECT "a?""b" = $1'),
        ("SELECT $$ ? $$, $x$ $$ ? :b $x$, ?", "SELECT $$ ? $$, $x$ $$ ? :b $x$, $1"),
        ("SELECT ? -- what?\n, ?", "SELECT $1 -- what?\n, $2"),
        ("SELECT /* ? /* :a */ ? */ ?", "SELECT /* ? /* :a */ ? */ $1"),
        ("SELECT data ?? 'key' AND x = ?", "SELECT data ? 'key' AND x = $1"),
        ("SELECT x WHERE y LIKE 'a%' AND z = ?", "SELECT x WHERE y LIKE 'a%' AND z = $1"),
        ("SELECT a$1 FROM t WHERE b=?", "SELECT a$1 FROM t WHERE b=$1"),
        ("SELECT $1, $2", "SELECT $1, $2"),
        ("SELECT 'open ?", "SELECT 'open $1"),
    ],
)
def test_a_statement_is_numbered_outside_of_its_strings_and_comments(written, sent):
    """What only looks like a parameter stays as it is."""
    assert translated(written).sql == sent


@pytest.mark.parametrize("mixed", ["SELECT ?, :a", "SELECT ?, $1", "SELECT :a, $1"])
def test_one_statement_has_one_style(mixed):
    """A mixture is refused with the statement in the message."""
    with pytest.raises(psycopg.ProgrammingError, match=r"SELECT.*mixes the styles"):
        translated(mixed)


@pytest.mark.parametrize(
    ("sql", "parameters", "said"),
    [
        ("SELECT ?, ?", (1,), "1 values for the 2 parameters"),
        ("SELECT :a, :b", {"a": 1}, "no value for the parameters b"),
        ("SELECT :a", (1,), "give a mapping"),
        ("SELECT ?", {"a": 1}, r"values by name \(a\)"),
    ],
)
def test_values_that_do_not_match_are_refused_with_what_is_missing(sql, parameters, said):
    """Before anything is sent."""
    with pytest.raises(psycopg.ProgrammingError, match=said):
        translated(sql).values(parameters)


def test_values_by_name_come_in_the_order_of_their_numbers():
    """More values than the statement has names are no mistake."""
    assert translated("SELECT :b, :a, :b").values({"a": 1, "b": 2, "c": 3}) == [2, 1]


PLAIN = st.sampled_from(
    ["'a ? :b'", '"x?"', "$$ ? $$", "/* ? */", "-- ? :b\n", "E'\\'?'", "a::int", "x := 1", "(", "1.5"]
)


@given(st.lists(st.one_of(st.just("?"), PLAIN)))
def test_every_question_mark_between_other_words_gets_the_next_number(words):
    """Whatever stands around it."""
    count = 0
    sent = []
    for word in words:
        count += word == "?"
        sent.append(f"${count}" if word == "?" else word)

    statement = translated(" ".join(words))

    assert (statement.sql, statement.count) == (" ".join(sent), count)
