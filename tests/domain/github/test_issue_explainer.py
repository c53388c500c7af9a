"""The explainer: one comment for each issue that wants one, whatever is delivered how often."""

import anyio
import pytest

from domain.github.adapters.forge import Kind, Trouble
from domain.github.adapters.issue_store import SqlIssues, SqlRepositories
from domain.github.adapters.outbox_store import SqlExplanations, SqlOutbox
from domain.github.entities import Explanation
from domain.github.errors import InvalidPayload, NotRegistered, RateLimited, Refused, Unreachable
from domain.github.issue_explainer import CLAIM_SECONDS, MARKER, IssueExplainer, Stores, body_of
from domain.github.issue_poller import IssuePoller
from domain.github.rules import RuleExplainer

pytestmark = pytest.mark.anyio

NOW = [1_000_000.0]


@pytest.fixture
def explain(github, database):
    """Makes explainers over the real adapters."""

    def make(explainer=None, **options):
        stores = Stores(SqlRepositories(), SqlIssues(), SqlExplanations(lambda: NOW[0]))
        return IssueExplainer(github, database, stores, explainer or RuleExplainer(), **options)

    return make


@pytest.fixture
def delivery(new_run):
    """Makes deliveries of an intent about an issue of octocat/hello."""

    def make(number=1, run_id="run-1", **changes):
        return new_run(run_id, {"repository": "octocat/hello", "number": number} | changes)

    return make


@pytest.fixture
async def polled(github, database, repository, new_run):
    """Reads the forge's issues into the database."""

    async def do():
        await IssuePoller(github, database, SqlIssues(), SqlOutbox()).poll(repository, new_run())

    return do


async def test_an_issue_gets_one_comment_with_the_marker(explain, delivery, polled, open_issue, forge):
    """The result says which rule spoke; progress is told, so that a slow model does not look stalled."""
    open_issue("The export crashes", "It fails.", labels=("bug",))
    await polled()
    run = delivery()

    result = await explain()(run)

    (comment,) = forge.comments()
    assert comment.body.endswith(MARKER)
    assert "bug report" in comment.body
    assert result["outcome"] == "commented"
    assert result["by"] == "rule bug report by label 'bug'"
    assert "asking the explainer" in run.notes


async def test_two_deliveries_make_one_comment(explain, delivery, polled, open_issue, forge):
    """Also when the second is the same run again, as after a lost lease."""
    open_issue()
    await polled()
    handler = explain()

    await handler(delivery())
    second = await handler(delivery())

    assert second == {"outcome": "skipped", "reason": "already explained"}
    assert len(forge.comments()) == 1


async def test_a_run_that_died_between_post_and_completion_posts_no_second_time(
    explain, delivery, polled, open_issue, forge
):
    """The comment arrived, its answer did not: nothing is repeated here, and the next delivery finds the marker."""
    open_issue()
    await polled()
    forge.trouble(Trouble(Kind.RESET, match="^POST"))
    with pytest.raises(Unreachable):
        await explain()(delivery())

    result = await explain()(delivery())

    assert result == {"outcome": "skipped", "reason": "already explained"}
    assert len(forge.comments()) == 1


async def test_the_marker_is_found_behind_the_first_page_of_comments(explain, delivery, polled, open_issue, forge):
    """A long discussion holds it on its last page."""
    open_issue()
    await polled()
    issue = forge.world.issue(forge.world.find("octocat/hello"), 1)
    for number in range(130):
        forge.world.comment(issue, f"Remark {number}")
    forge.world.comment(issue, f"Explained. {MARKER}")

    result = await explain()(delivery())

    assert result == {"outcome": "skipped", "reason": "already explained"}


async def test_a_marker_that_appears_while_the_model_thinks_is_seen(explain, delivery, polled, open_issue, forge):
    """Another service, or another database, was faster."""
    open_issue()
    await polled()

    class Slow:
        async def explain(self, issue, others):
            forge.world.comment(forge.world.issue(forge.world.find("octocat/hello"), 1), MARKER)
            return Explanation("Late", "slow model")

    result = await explain(Slow())(delivery())

    assert result["outcome"] == "skipped"
    assert len(forge.comments()) == 1


async def test_two_intents_of_one_issue_at_once_make_one_comment(explain, delivery, polled, open_issue, forge):
    """The issue changed twice: two versions, two runs. One of them works, the other leaves it alone."""
    open_issue()
    await polled()
    both_asked, results = anyio.Event(), {}

    class Slow:
        async def explain(self, issue, others):
            await both_asked.wait()
            return Explanation("Text", "slow model")

    handler = explain(Slow())

    async def deliver(run_id):
        results[run_id] = await handler(delivery(run_id=run_id))
        both_asked.set()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(deliver, "run-1")
            group.start_soon(deliver, "run-2")

    assert sorted(result["outcome"] for result in results.values()) == ["commented", "skipped"]
    assert len(forge.comments()) == 1


async def test_the_claim_of_a_run_that_failed_for_good_runs_out(explain, delivery, polled, open_issue, forge):
    """Otherwise the issue could never be explained."""
    open_issue()
    await polled()
    forge.trouble(Trouble(Kind.UNAUTHORIZED))
    with pytest.raises(Refused):
        await explain()(delivery(run_id="dead"))

    early = await explain()(delivery(run_id="run-2"))
    NOW[0] += CLAIM_SECONDS + 1
    late = await explain()(delivery(run_id="run-3"))

    assert early == {"outcome": "skipped", "reason": "run dead is explaining it"}
    assert late["outcome"] == "commented"


@pytest.mark.parametrize(
    ("labels", "required", "outcome"),
    [
        (("Explain", "bug"), "explain", "commented"),
        (("explain",), " EXPLAIN ", "commented"),
        (("bug",), "explain", "skipped"),
        ((), "explain", "skipped"),
        ((), None, "commented"),
        ((), "", "commented"),
    ],
)
async def test_the_required_label_is_compared_without_case(
    explain, delivery, polled, open_issue, labels, required, outcome
):
    """None, or an empty one, asks for no label."""
    open_issue(labels=labels)
    await polled()

    result = await explain(required_label=required)(delivery())

    assert result["outcome"] == outcome


async def test_closed_issues_and_pull_requests_are_left_alone(explain, delivery, polled, open_issue, forge):
    """Nobody wants a comment on every issue that was ever closed."""
    open_issue("Done")
    open_issue("A change", pull_request=True)
    forge.world.close(forge.world.issue(forge.world.find("octocat/hello"), 1))
    await polled()

    results = [await explain()(delivery(number)) for number in (1, 2)]

    assert [result["reason"] for result in results] == ["issue is closed", "pull request"]
    assert forge.requests == 1


@pytest.mark.parametrize("match", ["^GET .*/comments", "^POST"])
async def test_a_deleted_issue_is_finished_and_no_failure(explain, delivery, polled, open_issue, forge, match):
    """Whenever that is noticed."""
    open_issue()
    await polled()
    forge.trouble(Trouble(Kind.NOT_FOUND, match=match))

    result = await explain()(delivery())

    assert result == {"outcome": "skipped", "reason": "issue is gone (404)"}


async def test_a_limit_reaches_the_inbox_as_it_is(explain, delivery, polled, open_issue, forge):
    """The handler retries nothing itself."""
    open_issue()
    await polled()
    forge.trouble(Trouble(Kind.RETRY_AFTER, seconds=30, match="comments"))

    with pytest.raises(RateLimited) as caught:
        await explain()(delivery())

    assert caught.value.retry_after == 30


async def test_an_issue_that_is_not_stored_is_skipped(explain, delivery, repository):
    """The poller has not seen it, or the repository was recreated."""
    result = await explain()(delivery(99))

    assert result == {"outcome": "skipped", "reason": "unknown issue"}


async def test_an_unknown_repository_is_tried_again(explain, delivery):
    """Its preflight may pass yet."""
    with pytest.raises(NotRegistered):
        await explain()(delivery(repository="nobody/nothing"))


@pytest.mark.parametrize(
    "payload",
    [None, 1, "text", [], {}, {"repository": "octocat/hello"}, {"repository": 1, "number": 1}]
    + [{"repository": "octocat/hello", "number": number} for number in (0, -1, True, "1", 1.5, None)]
    + [{"repository": name, "number": 1} for name in ("", "octocat", "a/b/c", "a b/c", "a/\n")],
)
async def test_a_payload_that_names_no_issue_is_permanent(explain, new_run, payload):
    """No later delivery would be any better."""
    with pytest.raises(InvalidPayload) as caught:
        await explain()(new_run(payload=payload))

    assert caught.value.permanent is True
    assert "github.issue.explain.v1" in str(caught.value)


async def test_a_comment_calls_nobody_and_hides_nothing():
    """What a model, or a stranger through it, wrote must not notify people, nor end our marker."""
    body = body_of(Explanation("Ask @octocat <!-- hidden --> or mail a@b.c", "model"))

    assert "@octocat" not in body
    assert body.count("<!--") == 1
    assert body.endswith(MARKER)


async def test_a_comment_is_bounded():
    """GitHub refuses what is longer than 65,536 characters."""
    body = body_of(Explanation("x" * 1_000_000, "model"))

    assert len(body) < 11_000
    assert body.endswith(MARKER)
