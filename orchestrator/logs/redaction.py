"""Secrets, taken out of whatever is written."""

import json
import logging
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus

from orchestrator.logs.record import STANDARD, failure_of, message_of, shown

MASK = "********"

#: Shorter ones are not looked for: they would take ordinary words to pieces.
SHORTEST_SECRET = 4

_DEEPEST = 4


class Redactor:
    """Replaces registered secrets in text, also as JSON, ``repr`` and URLs spell them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: frozenset[str] = frozenset()
        self._known: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None
        self.register(secrets)

    def register(self, secrets: Iterable[str]) -> None:
        """Look for these too."""
        fresh = {secret for secret in secrets if len(secret) >= SHORTEST_SECRET} - self._secrets
        if fresh:
            self._secrets |= fresh
            self._known = frozenset(spelling for secret in self._secrets for spelling in _spellings(secret))
            longest_first = sorted(self._known, key=lambda each: (-len(each), each))
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    @property
    def known(self) -> frozenset[str]:
        """Every spelling that is looked for."""
        return self._known

    def __call__(self, text: str) -> str:
        """*text* with every secret masked; just the mask when that cannot be done piece by piece."""
        if self._pattern is None:
            return text
        redacted, count = self._pattern.subn(MASK, text)
        # A secret with stars in it can arise anew around the mask.
        return MASK if count and self._pattern.search(redacted) else redacted

    def clean(self, value: object, depth: int = 0) -> object:
        """*value* without secrets: itself when there is none in it."""
        if self._pattern is None or value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self(value)
        if depth < _DEEPEST and isinstance(value, Mapping):
            return {self(shown(key)): self.clean(below, depth + 1) for key, below in value.items()}
        if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
            return [self.clean(below, depth + 1) for below in value]
        text = shown(value)
        return self(text) if self._pattern.search(text) else value


class RedactingFilter(logging.Filter):
    """Takes secrets out of a record's message, arguments, traceback and extra fields.

    The record itself is changed, and only when a secret is in it: handlers that come later are safe too.
    """

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, cleaned."""
        if not self._redactor.known:
            return True
        message = message_of(record)
        redacted = self._redactor(message)
        if redacted != message:
            self._clean_message(record, redacted)
        failure = failure_of(record)
        if failure:
            redacted = self._redactor(failure)
            if redacted != failure:
                record.exc_text, record.exc_info = redacted, None
        if record.stack_info:
            record.stack_info = self._redactor(record.stack_info)
        for name, value in vars(record).items():
            if name not in STANDARD:
                setattr(record, name, self._redactor.clean(value))
        return True

    def _clean_message(self, record: logging.LogRecord, redacted: str) -> None:
        """Template and arguments each for itself, so that repetitions still share their template; else the whole."""
        record.msg = self._redactor.clean(record.msg)
        if isinstance(record.args, Mapping):
            record.args = {str(name): self._redactor.clean(value) for name, value in record.args.items()}
        elif record.args:
            record.args = tuple(self._redactor.clean(value) for value in record.args)
        if message_of(record) != redacted:
            record.msg, record.args = redacted, ()


def _spellings(secret: str) -> set[str]:
    ways = {secret, repr(secret)[1:-1], ascii(secret)[1:-1], json.dumps(secret)[1:-1]}
    ways.add(json.dumps(secret, ensure_ascii=False)[1:-1])
    encoded = secret.encode("utf-8", "surrogatepass")
    ways |= {quote(encoded), quote(encoded, safe=""), quote_plus(encoded)}
    return ways
