"""The scanner finds every key that the parser finds, on the line where it stands."""

import json
import tomllib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.settings.toml_lines import key_lines

DOCUMENT = """\
# a comment with [brackets] and = signs
title = "a # no comment ] = \\" x"   # and one here
'literal key' . "dotted \\u0041" = 'C:\\path'

[server]
ports = [ 8000, # first
  8001,
]
text = '''
[not.a.table]
x = 1
'''
after = \"\"\"a "quoted" \\
  word\"\"\"\"
point = { x = 1, deep.y = [ { z = 2 } ] }
when = 1979-05-27 07:32:00

[[server.users]]
name = "a"
[server.users.address]
city = "x"
[[server.users]]
name = "b"
"""


def test_keys_of_every_form_are_found_on_their_line():
    """Comments, strings of four kinds, dotted and quoted keys, arrays, inline tables, arrays of tables."""
    tomllib.loads(DOCUMENT)

    lines = key_lines(DOCUMENT)

    assert lines["title",] == 2
    assert lines["literal key", "dotted A"] == 3
    assert lines["server",] == 5
    assert lines["server", "ports"] == 6
    assert lines["server", "ports", 1] == 7
    assert lines["server", "text"] == 9
    assert ("not", "a", "table") not in lines
    assert lines["server", "after"] == 13
    assert lines["server", "point", "deep", "y", 0, "z"] == 15
    assert lines["server", "when"] == 16
    assert lines["server", "users", 0, "name"] == 19
    assert lines["server", "users", 0, "address", "city"] == 21
    assert lines["server", "users", 1] == 22
    assert lines["server", "users", 1, "name"] == 23


KEYS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=6)
SCALARS = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), KEYS)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))


def written(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{written(key)} = {written(below)}" for key, below in value.items()) + " }"
    if isinstance(value, list):
        return "[ # comment ]\n" + "".join(f"  {written(below)},\n" for below in value) + "]"
    if isinstance(value, float):
        return {"inf": "inf", "-inf": "-inf", "nan": "nan"}.get(str(value)) or repr(value)
    return json.dumps(value, ensure_ascii=False)


def paths_of(value: object, keys: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {keys} | {path for key, inner in below for path in paths_of(inner, (*keys, key))}


@given(
    st.dictionaries(KEYS, VALUES, max_size=4),
    st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=3), max_size=3),
)
def test_the_scanner_sees_exactly_the_keys_of_the_parser(top: dict[str, object], tables: dict[str, dict[str, object]]):
    """For any document: same paths, and the line of a table is the line of its header."""
    text = "".join(f"{written(key)} = {written(value)}\n" for key, value in top.items() if key not in tables)
    headers = {}
    for name, table in tables.items():
        headers[name,] = text.count("\n") + 1
        text += f"[{written(name)}]\n"
        text += "".join(f"\t{written(key)}={written(value)} # ] }} = \n\n" for key, value in table.items())
    # JSON leaves DEL alone, which TOML does not allow.
    text = text.replace("\x7f", "")

    parsed = tomllib.loads(text)
    lines = key_lines(text)

    assert set(lines) == paths_of(parsed) - {()}
    assert headers.items() <= lines.items() or "\x7f" in str(tables)


@given(st.text())
@example("[")
@example("a = '''")
@example("x = " + "[" * 100_000)
def test_no_text_breaks_the_scanner(text: str):
    """Where it loses its way, it gives up."""
    assert isinstance(key_lines(text), dict)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_lines_are_counted_whatever_ends_them(newline: str):
    """A file from Windows has the same lines."""
    assert key_lines(newline.join(["a = 1", "", "b = 2"])) == {("a",): 1, ("b",): 3}
