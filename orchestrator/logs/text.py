"""Text from outside, made safe to stand in one line."""

import re

# Line ends of any kind, terminal escapes (C0, C1, DEL), signs that reorder a line (bidirectional controls), surrogates.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def one_line(text: str) -> str:
    """*text* with everything escaped that could end the line, reorder it or command a terminal."""
    return _UNSAFE.sub(lambda match: _SHORT.get(match[0]) or _escape(match[0]), text)


def _escape(character: str) -> str:
    return f"\\x{ord(character):02x}" if ord(character) < 0x100 else f"\\u{ord(character):04x}"


def bounded(text: str, limit: int) -> str:
    """*text* cut to *limit* characters. The middle goes: an error's start and end say most."""
    if len(text) <= limit:
        return text
    note = f"... [{len(text)} characters] ..."
    head = max(0, limit - len(note)) // 2
    tail = max(0, limit - len(note) - head)
    return text[:head] + note + text[len(text) - tail :]
