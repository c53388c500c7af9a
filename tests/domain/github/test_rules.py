"""The built-in rules on the ten issues of the sandbox, and their laws."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.github.adapters.forge import ISSUES
from domain.github.entities import Issue
from domain.github.rule_book import KINDS, PARTS
from domain.github.rules import MOST_SIMILAR, RuleExplainer, explain, kind_of

SEEDED = [
    Issue(n, n, draft.title, draft.body or "", "open", draft.user, draft.labels, "2026-01-01T00:00:00Z")
    for n, draft in enumerate(ISSUES, 1)
]

STEPS, VERSION, EXPECTED = (PARTS[name].ask for name in ("steps", "version", "expected"))
NO_BODY = "a description: the body is empty or very short"

#: Title, the rule that speaks, what is asked for, similar issues.
EXPECTATIONS = [
    ("Login times out when the request", "bug report by label 'bug'", [], []),
    ("Crash in the invoice export", "bug report by label 'bug'", [STEPS], []),
    ("How do I rotate the signing key", "question by label 'question'", [], []),
    ("Date picker shows the wrong month", "bug report by label 'bug'", [VERSION], []),
    ("Raise the colour contrast", "feature request by 'would be nice' in the body", [], []),
    ("Typo and outdated example", "documentation issue by label 'documentation'", [], []),
    ("Feature request: a dead letter queue", "feature request by label 'enhancement'", [], []),
    ("Consumer stops receiving messages", "bug report by label 'bug'", [], [9]),
    ("No messages are received once", "bug report by label 'bug'", [STEPS, EXPECTED], [8]),
    ("Agent crashes on start", "bug report by label 'bug'", [NO_BODY, STEPS, VERSION, EXPECTED], []),
]


@pytest.mark.parametrize(("number", "expected"), list(enumerate(EXPECTATIONS, 1)))
def test_each_seeded_issue_gets_its_comment(number, expected):
    """Kind, missing parts, similar issues, and the rule that spoke."""
    title, rule, asked, alike = expected
    issue = SEEDED[number - 1]
    assert issue.title.startswith(title)

    explanation = explain(issue, [other for other in SEEDED if other is not issue])

    listed = [line.removeprefix("- ") for line in explanation.text.splitlines() if line.startswith("- ")]
    assert explanation.by == f"rule {rule}"
    assert explanation.text.endswith(f"_Rule: {rule}._")
    assert [line for line in listed if not line.startswith("#")] == asked
    assert [int(n) for n in re.findall(r"^- #(\d+) ", explanation.text, re.MULTILINE)] == alike


def test_a_whole_comment_reads_like_this():
    """Short, concrete, and it says why it says so."""
    assert explain(SEEDED[8], SEEDED).text == (
        "This looks like a **bug report**.\n"
        "\n"
        "To work on it, a reader still needs:\n"
        "- the steps, or a minimal example, that make it happen\n"
        "- what was expected, and what happened instead\n"
        "\n"
        "Similar open issues:\n"
        "- #8 (both speak of restarted, tidewater, consumer)\n"
        "\n"
        "_Rule: bug report by label 'bug'._"
    )


def test_an_issue_that_tells_nothing_is_told_so(new_issue):
    """No kind is made up."""
    explanation = explain(new_issue(title="Hmm", body="Something is odd with the thing over there."), [])

    assert explanation.text == "The text does not tell what kind of issue this is.\n\n_Rule: no kind fits._"


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"labels": ("Documentation",), "title": "Crash in the tutorial"}, "documentation issue"),
        ({"title": "Please add a switch", "body": "It crashes without one."}, "feature request"),
        ({"title": "XSS in the comment form"}, "security report"),
        ({"title": "Strange", "body": "How do I use it?"}, "question"),
        ({"title": "A typographical matter", "body": "Nothing to see."}, None),
    ],
)
def test_a_label_beats_the_title_and_the_title_beats_the_body(new_issue, changes, kind):
    """What people have said on purpose counts most."""
    found, _ = kind_of(new_issue(**changes))

    assert (found.name if found else None) == kind


def test_closed_issues_and_pull_requests_are_not_named_as_similar(new_issue):
    """A reader should find something to read on."""
    twin = {"title": "Consumer deadlock behind proxy", "body": ""}
    others = [new_issue(2, state="closed", **twin), new_issue(3, pull_request=True, **twin), new_issue(4, **twin)]

    text = explain(new_issue(1, **twin), [*others, new_issue(1, **twin)]).text

    assert re.findall(r"#(\d+)", text) == ["4"]


@given(
    issue=st.builds(
        Issue,
        github_id=st.just(1),
        number=st.just(1),
        title=st.text(max_size=80),
        body=st.text(max_size=300),
        state=st.just("open"),
        author=st.just("a"),
        labels=st.lists(st.sampled_from(["bug", "docs", "x", "QUESTION"]), max_size=2).map(tuple),
        updated_at=st.just(""),
    ),
    order=st.randoms(use_true_random=False),
)
def test_the_same_issues_in_any_order_give_the_same_text(issue: Issue, order: random.Random):
    """Whatever the issue holds: one rule, at most three similar issues, no word of the author that could be markup."""
    shuffled = list(SEEDED[1:])
    order.shuffle(shuffled)

    explanation = explain(issue, shuffled)

    assert explanation == explain(issue, SEEDED[1:])
    assert len(re.findall(r"^- #", explanation.text, re.MULTILINE)) <= MOST_SIMILAR
    assert explanation.text.count("_Rule: ") == 1


def test_every_part_that_a_kind_needs_is_known():
    """A kind that asks for an unknown part would break on its first issue."""
    assert all(need in PARTS for kind in KINDS for need in kind.needs)


@pytest.mark.anyio
async def test_the_port_is_the_pure_function():
    """Nothing is added on the way."""
    assert await RuleExplainer().explain(SEEDED[0], SEEDED[1:]) == explain(SEEDED[0], SEEDED[1:])
