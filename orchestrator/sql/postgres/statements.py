"""Statements with ``?`` and ``:name`` for PostgreSQL, which numbers its parameters."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import psycopg

_TOKEN = re.compile(
    r"""
      [eE]'(?:[^'\\]|\\.|'')*'                                          # a string with escapes
    | '(?:[^']|'')*' | "(?:[^"]|"")*"                                   # a string, an identifier
    | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$                       # a string between dollars
    | --[^\n]*
    | (?P<comment>/\*)
    | [^\W\d][\w$]*                                                     # a word
    | :: | :=
    | (?P<operator>\?\?)
    | (?P<place>\?)
    | :(?P<name>[^\W\d]\w*)
    | (?P<number>\$\d+)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"/\*|\*/")


@dataclass(frozen=True, slots=True)
class Statement:
    """*sql* as PostgreSQL takes it, with *count* question marks or with *names*, numbered in this order."""

    sql: str
    names: tuple[str, ...] = ()
    count: int = 0

    def values(self, parameters: Sequence[object] | Mapping[str, object]) -> Sequence[object]:
        """*parameters* in the order of their numbers. Raises psycopg.ProgrammingError when they do not match."""
        if self.names:
            if not isinstance(parameters, Mapping):
                named = ", ".join(self.names)
                raise psycopg.ProgrammingError(f"the parameters have names ({named}); give a mapping, not a sequence")
            missing = [name for name in self.names if name not in parameters]
            if missing:
                raise psycopg.ProgrammingError(f"no value for the parameters {', '.join(missing)} of {self.sql!r:.200}")
            return [parameters[name] for name in self.names]
        if isinstance(parameters, Mapping):
            raise psycopg.ProgrammingError(
                f"values by name ({', '.join(parameters)}) for {self.sql!r:.200}, which has none"
            )
        if self.count and len(parameters) != self.count:
            raise psycopg.ProgrammingError(
                f"{len(parameters)} values for the {self.count} parameters of {self.sql!r:.200}"
            )
        return parameters


@lru_cache(maxsize=1024)
def translated(sql: str) -> Statement:
    """*sql* with its ``?`` or ``:name`` numbered. Strings, identifiers, comments and ``::casts`` stay as they are.

    ``??`` is the operator ``?``. A statement with ``$1`` and without the others is left to mean what it says.
    Raises psycopg.ProgrammingError for a mixture.
    """
    parts: list[str] = []
    names: dict[str, int] = {}
    count = numbered = end = at = 0
    while (token := _TOKEN.search(sql, at)) is not None:
        at = token.end()
        if token["comment"]:
            at = _end_of_comment(sql, at)
            continue
        if token["number"]:
            numbered += 1
            continue
        if token["place"]:
            count += 1
            text = f"${count}"
        elif token["name"]:
            text = f"${names.setdefault(token['name'], len(names) + 1)}"
        elif token["operator"]:
            text = "?"
        else:
            continue
        parts += (sql[end : token.start()], text)
        end = at
    if (count > 0) + (len(names) > 0) + (numbered > 0) > 1:
        raise psycopg.ProgrammingError(f"{sql!r:.200} mixes the styles ?, :name and $1 of parameters; take one")
    return Statement("".join((*parts, sql[end:])), tuple(names), count)


def _end_of_comment(sql: str, at: int) -> int:
    depth = 1  # PostgreSQL nests them
    while depth and (mark := _COMMENT.search(sql, at)) is not None:
        depth += 1 if mark[0] == "/*" else -1
        at = mark.end()
    return len(sql) if depth else at
