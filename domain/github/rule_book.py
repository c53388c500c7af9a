"""What the rules know: kinds of issues, the parts each should hold, and words that tell nothing. Data, no decisions."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of issue: the *labels* that say so, else the *terms* that hint at it, and the parts a reader needs."""

    name: str
    labels: frozenset[str]
    terms: re.Pattern[str]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """Something a report should hold, how it is recognised, and how to ask for it."""

    name: str
    seen: re.Pattern[str]
    ask: str


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(alternatives)})\b", re.IGNORECASE)


PARTS = {
    part.name: part
    for part in (
        Part(
            "steps",
            re.compile(
                r"\b(?:steps?|reproduc\w*|to repro|repro|minimal example)\b|^\s*1[.)]\s",
                re.IGNORECASE | re.MULTILINE,
            ),
            "the steps, or a minimal example, that make it happen",
        ),
        Part(
            "version",
            re.compile(r"\bversions?\b|\bv?\d+\.\d+(?:\.\d+)?\b|\b(?:commit|revision) [0-9a-f]{7,40}\b", re.IGNORECASE),
            "the version, and the system it runs on",
        ),
        Part(
            "expected",
            _words(r"expect\w*", "should", "supposed to", "instead of"),
            "what was expected, and what happened instead",
        ),
        Part(
            "use case", _words("use case", "so that", "because", "in order to", "need", "allows? us"), "what it is for"
        ),
        Part(
            "attempt",
            re.compile(r"\b(?:tried|try|attempt\w*|found|looked|searched|docs?|documentation)\b|```", re.IGNORECASE),
            "what was tried",
        ),
    )
}

#: In order: the first that fits speaks.
KINDS = (
    Kind(
        "security report",
        frozenset({"security", "vulnerability"}),
        _words(r"vulnerab\w*", r"cve-\d+-\d+", "exploit", "xss", "sql injection", "remote code execution"),
        ("version",),
    ),
    Kind(
        "bug report",
        frozenset({"bug", "regression", "crash", "type: bug", "kind/bug"}),
        _words(
            "bug", r"crash\w*", r"errors?", r"exceptions?", "traceback", "stack ?trace", r"fail\w*", "broken",
            "regression", r"hangs?", "deadlock", "segfault", "does(?: not|n't) work", "stopped working", "leaks?",
        ),
        ("steps", "version", "expected"),
    ),
    Kind(
        "documentation issue",
        frozenset({"documentation", "docs", "type: docs"}),
        _words("documentation", "docs", "readme", "typo", "docstrings?", "tutorial"),
    ),
    Kind(
        "feature request",
        frozenset({"enhancement", "feature", "feature request", "type: feature", "kind/feature"}),
        _words(
            "feature", "add", "support for", "would be (?:nice|great|useful)", "please (?:add|support)", "proposal",
            "allow", "enhancement", "ability to",
        ),
        ("use case",),
    ),
    Kind(
        "question",
        frozenset({"question", "support", "help wanted"}),
        re.compile(
            r"\b(?:how (?:do|can|to)|is it possible|what is|why does|question|help)\b|\?\s*$",
            re.IGNORECASE | re.MULTILINE,
        ),
        ("attempt",),
    ),
)  # fmt: skip

#: Words too common to make two issues similar.
_COMMON = """
about actual after again also back been before behavior behaviour being better between both busy cannot could
default does doing done each error even ever expected find first found from great have having here into issue just
keep keeps know last like make many more most much need never nice night once only option options other over please
problem reproduce same second should show shows since some start starts steps still such than that their them then
there these they thing this those through time times used uses using version very want were what when where which
while whole will with without work works would your
"""
COMMON_WORDS = frozenset(_COMMON.split())
