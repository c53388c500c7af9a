"""The built-in Explainer: plain rules, no model, the same answer every time."""

import re
from collections.abc import Sequence

from domain.github.entities import Explanation, Issue
from domain.github.rule_book import COMMON_WORDS, KINDS, PARTS, Kind

#: A title alone says little: below this many characters the body counts as missing.
SHORT_BODY = 20
#: Issues named as similar, at most.
MOST_SIMILAR = 3
#: What makes two issues similar: so many terms in common, and so large a part of the shorter one's terms.
SHARED_TERMS = 2
SHARED_PART = 0.3

_TERM = re.compile(r"[a-z][a-z0-9_]{3,}")


class RuleExplainer:
    """Names the kind, what is missing, and similar open issues; says which rule spoke."""

    async def explain(self, issue: Issue, others: Sequence[Issue]) -> Explanation:
        return explain(issue, others)


def explain(issue: Issue, others: Sequence[Issue]) -> Explanation:
    """The rule-based explanation. Pure and deterministic: equal issues, whatever their order, give equal text."""
    kind, rule = kind_of(issue)
    lines = [f"This looks like a **{kind.name}**." if kind else "The text does not tell what kind of issue this is."]
    missing = missing_parts(issue, kind)
    if missing:
        lines += ["", "To work on it, a reader still needs:", *(f"- {ask}" for ask in missing)]
    elif kind is not None and kind.needs:
        lines += ["", f"It holds what such an issue needs: {', '.join(kind.needs)}."]
    alike = similar(issue, others)
    if alike:
        lines += ["", "Similar open issues:"]
        lines += [f"- #{other.number} (both speak of {', '.join(shared)})" for other, shared in alike]
    lines += ["", f"_Rule: {rule}._"]
    return Explanation("\n".join(lines), by=f"rule {rule}")


def kind_of(issue: Issue) -> tuple[Kind | None, str]:
    """The kind and the rule that chose it: a label beats the title, the title beats the body."""
    labels = {label.lower() for label in issue.labels}
    for kind in KINDS:
        if spoken := sorted(kind.labels & labels):
            return kind, f"{kind.name} by label '{spoken[0]}'"
    for where, text in (("title", issue.title), ("body", issue.body)):
        for kind in KINDS:
            if hit := kind.terms.search(text):
                return kind, f"{kind.name} by '{_plain(hit.group())}' in the {where}"
    return None, "no kind fits"


def missing_parts(issue: Issue, kind: Kind | None) -> list[str]:
    """What to ask for."""
    needs = [PARTS[need] for need in kind.needs] if kind else []
    text = f"{issue.title}\n{issue.body}"
    missing = [part.ask for part in needs if not part.seen.search(text)]
    short = len(issue.body.strip()) < SHORT_BODY
    return ["a description: the body is empty or very short", *missing] if short else missing


def similar(issue: Issue, others: Sequence[Issue]) -> list[tuple[Issue, list[str]]]:
    """Other open issues that share enough uncommon terms, closest first, with up to three of those terms."""
    own = terms(issue)
    found = []
    for other in others:
        theirs = terms(other)
        shared = own & theirs
        if other.number == issue.number or other.pull_request or other.state != "open" or len(shared) < SHARED_TERMS:
            continue
        closeness = len(shared) / min(len(own), len(theirs))
        if closeness < SHARED_PART:
            continue
        found.append((-closeness, other.number, other, sorted(shared, key=lambda term: (-len(term), term))[:3]))
    found.sort(key=lambda entry: entry[:2])
    return [(other, shared) for _, _, other, shared in found[:MOST_SIMILAR]]


def terms(issue: Issue) -> frozenset[str]:
    """The telling words of an issue: the title, and the first thousand characters of the body."""
    words = _TERM.findall(f"{issue.title} {issue.body[:1000]}".lower())
    return frozenset(_singular(word) for word in words if word not in COMMON_WORDS)


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 4 else word


def _plain(text: str) -> str:
    return " ".join(text.split()).lower()
