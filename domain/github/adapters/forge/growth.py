"""How the sandbox grows: which change comes next, decided by seed and number alone, so a restart does not change it."""

from dataclasses import dataclass
from random import Random
from typing import Literal

from domain.github.adapters.forge.seed import Draft

Change = Literal["opened", "commented", "edited", "closed"]

_CHANGES: tuple[Change, ...] = ("opened", "commented", "edited", "closed")
_WEIGHTS = (65, 20, 10, 5)

_PARTS = ("import", "search", "scheduler", "upload", "notification mail", "audit log", "cache", "configuration loader")
_PEOPLE = ("mira", "jonas", "priya", "lucia", "tomasz", "wei", "amara", "noor", "erik", "sofia")

_BUGS = (
    ("The {part} fails with an unexpected error", "It worked last week. Now the {part} ends with `ValueError: {n}`."),
    (
        "The {part} hangs under load",
        "Steps to reproduce:\n1. Start {n} clients.\n2. Use the {part}.\n\nExpected: every client gets its answer.\n",
    ),
    (
        "Wrong result from the {part} after midnight",
        "Version: 3.{n}\n\nExpected behaviour: the {part} uses the tenant's time zone.\n\n"
        "Actual behaviour: it uses UTC.\n",
    ),
)
_FEATURES = (
    ("Allow the {part} to be switched off", "It would be nice to have a setting that turns the {part} off."),
    ("Support for dry runs of the {part}", "Please add a `--dry-run` option that shows what the {part} would do."),
)
_QUESTIONS = (
    ("How can I see what the {part} is doing?", "Is there a log level or a metric for the {part}? Could not find one."),
)
_DOCS = (("Documentation of the {part} is missing", "The guide does not mention the {part} at all."),)

_REMARKS = (
    "The same happens here since this morning.",
    "Could you say which version you use?",
    "I have found a workaround: restart it every {n} minutes.",
    "Any news about this?",
)


@dataclass(frozen=True)
class Growth:
    """What one step of growth did, and to which issue."""

    change: Change
    repository: str
    number: int


def chance(seed: int, step: int) -> Random:
    """The source of chance of growth step *step*: the same for the same seed, whatever happened before."""
    return Random(f"forge/{seed}/{step}")


def next_change(rng: Random) -> Change:
    """Mostly new issues, now and then a comment, an edit, a closed issue."""
    return rng.choices(_CHANGES, _WEIGHTS)[0]


def draft(rng: Random, repository: str) -> Draft:
    """A new issue for *repository*; nine in ten carry the label that asks for an explanation."""
    label, texts = rng.choices(
        (("bug", _BUGS), ("enhancement", _FEATURES), ("question", _QUESTIONS), ("documentation", _DOCS)), (5, 2, 2, 1)
    )[0]
    title, body = rng.choice(texts)
    values = {"part": rng.choice(_PARTS), "n": rng.randint(2, 60)}
    labels = (label, "explain") if rng.random() < 0.9 else (label,)
    return Draft(repository, title.format(**values), body.format(**values), labels, rng.choice(_PEOPLE))


def remark(rng: Random) -> tuple[str, str]:
    """A comment somebody leaves: (user, text)."""
    return rng.choice(_PEOPLE), rng.choice(_REMARKS).format(n=rng.randint(5, 50))
