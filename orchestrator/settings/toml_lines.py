"""On which line of a TOML document each key stands.

The standard parser gives values without places. This scanner reads a document that the parser has accepted and looks
for keys only; where it loses its way it gives up, and messages name the file alone.
"""

import re
import tomllib
from bisect import bisect_right

from orchestrator.settings.layer import Keys

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"[^,\]}#\r\n]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'",
    re.DOTALL,
)


def key_lines(text: str) -> dict[Keys, int]:
    """Path -> line, counted from 1, of every key, table and array element; empty when the text is beyond it."""
    try:
        return _Scanner(text).scan()
    except (ValueError, IndexError, RecursionError):
        return {}


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._lines: dict[Keys, int] = {}
        self._elements: dict[Keys, int] = {}  # path of an array of tables -> index of its last element

    def scan(self) -> dict[Keys, int]:
        table: Keys = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            line = self._line()
            if self._text.startswith("[[", self._at):
                self._at += 2
                path = self._table(self._key())
                self._expect("]]")
                self._elements[path] = self._elements.get(path, -1) + 1
                table = (*path, self._elements[path])
                self._mark(path, line)
                self._mark(table, line)
            elif self._text[self._at] == "[":
                self._at += 1
                path = self._key()
                table = self._element(self._table(path))
                self._expect("]")
                self._mark(table, line)
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self._lines

    def _table(self, keys: Keys) -> Keys:
        """The path of a header: through an array of tables, its last element is meant."""
        path: Keys = ()
        for key in keys:
            path = (*self._element(path), key)
        return path

    def _element(self, path: Keys) -> Keys:
        return (*path, self._elements[path]) if path in self._elements else path

    def _pair(self, table: Keys) -> None:
        line = self._line()
        keys = self._key()
        self._expect("=")
        for end in range(1, len(keys) + 1):
            self._mark((*table, *keys[:end]), line)
        self._value((*table, *keys))

    def _key(self) -> Keys:
        keys: list[str] = []
        while True:
            self._skip(_SPACE)
            if self._text[self._at] in "\"'":
                keys.append(next(iter(tomllib.loads(f"{self._take(_STRING)} = 0"))))
            else:
                keys.append(self._take(_BARE_KEY))
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return tuple(keys)
            self._at += 1

    def _value(self, path: Keys) -> None:
        self._skip(_SPACE)
        opening = self._text[self._at]
        if opening in "\"'":
            self._take(_STRING)
        elif opening == "[":
            self._at += 1
            index = 0
            while not self._closes("]"):
                self._mark((*path, index), self._line())
                self._value((*path, index))
                index += 1
        elif opening == "{":
            self._at += 1
            while not self._closes("}"):
                self._pair(path)
        else:
            self._take(_BARE_VALUE)

    def _closes(self, bracket: str) -> bool:
        """Step over blanks and one comma to the next element; True at the closing bracket."""
        self._skip(_BLANK)
        if self._text[self._at] == ",":
            self._at += 1
            self._skip(_BLANK)
        if self._text[self._at] != bracket:
            return False
        self._at += 1
        return True

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise ValueError(f"nothing to read at {self._at}")
        self._at = match.end()
        return match.group()

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self._take(pattern)

    def _expect(self, mark: str) -> None:
        self._skip(_SPACE)
        if not self._text.startswith(mark, self._at):
            raise ValueError(f"no {mark} at {self._at}")
        self._at += len(mark)

    def _mark(self, path: Keys, line: int) -> None:
        self._lines.setdefault(path, line)

    def _line(self) -> int:
        return bisect_right(self._newlines, self._at - 1) + 1
