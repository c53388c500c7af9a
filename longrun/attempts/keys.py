"""Keys of attempts: ``namespace/task/rule``, each part escaped, so that no text forges another key.

What is not printable, ``/`` and ``%`` are percent-encoded; everything else stays readable.
"""

from urllib.parse import unquote


def join(namespace: str, task: str, rule: str) -> str:
    """The key of *rule*. ValueError for an empty part."""
    return "/".join((_escaped(namespace, "namespace"), _escaped(task, "task"), _escaped(rule, "rule")))


def prefix(namespace: str, task: str | None = None) -> str:
    """What the keys of *task* (None: of the whole namespace) begin with, and no others. It ends with ``/``."""
    parts = [_escaped(namespace, "namespace")]
    if task is not None:
        parts.append(_escaped(task, "task"))
    return "/".join(parts) + "/"


def end_of(prefix: str) -> str:
    """The first text behind all keys that begin with *prefix*; ValueError for one that does not end with ``/``."""
    if not prefix.endswith("/"):
        raise ValueError(f"{prefix!r} is no prefix of keys; it must end with '/' (see longrun.attempts.prefix)")
    return prefix[:-1] + chr(ord("/") + 1)


def split(key: str) -> tuple[str, str, str]:
    """``(namespace, task, rule)`` of *key*; ValueError for a text that is no key."""
    parts = key.split("/")
    if len(parts) != 3 or not all(parts):
        raise ValueError(f"{key!r} is no key of attempts; they are made by longrun.attempts.join")
    namespace, task, rule = (unquote(part, errors="surrogatepass") for part in parts)
    return namespace, task, rule


def _escaped(part: str, what: str) -> str:
    if not isinstance(part, str) or not part:
        raise ValueError(f"the {what} of attempts is {part!r}; give a non-empty text")
    if part.isprintable() and "/" not in part and "%" not in part:
        return part
    return "".join(c if c.isprintable() and c not in "/%" else _encoded(c) for c in part)


def _encoded(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
