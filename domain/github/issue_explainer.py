"""Intent handler: comments on an issue once, with what it is about and what it lacks."""

import re
from dataclasses import dataclass

from domain.github.entities import Explanation, Issue, Repository
from domain.github.errors import InvalidPayload, InvalidRepository, Missing, NotRegistered
from domain.github.ports import Explainer, ExplanationStore, GithubApi, IssueStore, RepositoryStore
from orchestrator.contracts import Database, IntentRun, JsonValue

#: The intent type this handler serves.
EXPLAIN_ISSUE = "github.issue.explain.v1"
#: Invisible in the rendered comment; whoever carries it has been explained.
MARKER = "<!-- longrun:explained -->"

#: A claim older than this belongs to a run that is over: longer than two minutes of a model and the inbox's retries.
CLAIM_SECONDS = 900.0
#: Open issues that are compared with the one to explain.
COMPARED = 500
#: GitHub takes 65,536 characters; nobody reads more than this.
LONGEST_COMMENT = 10_000
#: Pages of 100 comments that are searched for the marker.
MOST_PAGES = 100

#: An at sign that notifies nobody: a zero-width space stands behind it.
SILENT_AT = "@\u200b"
_MENTION = re.compile(r"@(?=[A-Za-z0-9])")


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores the explainer reads."""

    repositories: RepositoryStore
    issues: IssueStore
    explanations: ExplanationStore


class IssueExplainer:
    """Handles ``github.issue.explain.v1``; the result is ``{"outcome": "commented" | "skipped", ...}``.

    At most one comment per issue: the marker is looked for before the Explainer is asked and again right before the
    post, and two intents of one issue never work on it at the same time. A run that died after its post finds its own
    marker when it is delivered again.
    """

    type = EXPLAIN_ISSUE

    def __init__(
        self,
        github: GithubApi,
        database: Database,
        stores: Stores,
        explainer: Explainer,
        *,
        required_label: str | None = None,
    ) -> None:
        self._github = github
        self._database = database
        self._stores = stores
        self._explainer = explainer
        self._label = required_label.strip().lower() if required_label else None

    async def __call__(self, run: IntentRun) -> JsonValue:
        repository, number = _subject(run.payload)
        repository_id = await self._database.read(lambda db: self._stores.repositories.repository_id(db, repository))
        if repository_id is None:
            raise NotRegistered(str(repository))
        issue = await self._database.read(lambda db: self._stores.issues.issue(db, repository_id, number))
        reason = "unknown issue" if issue is None else self._not_wanted(issue)
        if issue is None or reason is not None:
            return _skipped(run, reason)

        claims = self._stores.explanations
        holder = await self._database.transaction(
            lambda db: claims.claim(db, repository_id, number, run.id, CLAIM_SECONDS)
        )
        if holder != run.id:
            return _skipped(run, f"run {holder} is explaining it")
        result = await self._explain(run, repository, repository_id, issue)
        await self._database.transaction(lambda db: claims.release(db, repository_id, number, run.id))
        return result

    def _not_wanted(self, issue: Issue) -> str | None:
        if issue.pull_request:
            return "pull request"
        if issue.state != "open":
            return f"issue is {issue.state}"
        if self._label is not None and self._label not in {label.lower() for label in issue.labels}:
            return f"label {self._label!r} is missing"
        return None

    async def _explain(self, run: IntentRun, repository: Repository, repository_id: int, issue: Issue) -> JsonValue:
        try:
            if reason := await self._explained(run, repository, issue.number):
                return _skipped(run, reason)
            others = await self._database.read(lambda db: self._stores.issues.open_issues(db, repository_id, COMPARED))
            run.progress("asking the explainer")
            explanation = await self._explainer.explain(issue, [one for one in others if one.number != issue.number])
            run.progress(f"explained by {explanation.by}")
            if reason := await self._explained(run, repository, issue.number):
                return _skipped(run, reason)
            comment = await self._github.comment(repository, issue.number, body_of(explanation))
        except Missing as gone:
            return _skipped(run, f"issue is gone ({gone.status})")
        run.logger.info("issue.explained", extra={"issue": f"{repository}#{issue.number}", "by": explanation.by})
        return {"outcome": "commented", "comment": comment.id, "by": explanation.by}

    async def _explained(self, run: IntentRun, repository: Repository, number: int) -> str | None:
        for page_number in range(1, MOST_PAGES + 1):
            page = await self._github.comments(repository, number, page_number)
            run.progress(f"comments page {page_number}")
            if any(MARKER in comment.body for comment in page.comments):
                return "already explained"
            if not page.more:
                return None
        return f"more than {MOST_PAGES} pages of comments"


def body_of(explanation: Explanation) -> str:
    """The comment: bounded, calling nobody by name, and ending with the marker."""
    text = explanation.text.replace("<!--", "&lt;!--").strip()
    if len(text) > LONGEST_COMMENT:
        text = f"{text[:LONGEST_COMMENT].rstrip()} ..."
    return f"{_MENTION.sub(SILENT_AT, text)}\n\n{MARKER}"


def _subject(payload: JsonValue) -> tuple[Repository, int]:
    if not isinstance(payload, dict):
        raise InvalidPayload(f"payload of {EXPLAIN_ISSUE} is {payload!r:.200}; it must be an object")
    name, number = payload.get("repository"), payload.get("number")
    if not isinstance(name, str) or not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise InvalidPayload(
            f"payload of {EXPLAIN_ISSUE} is {payload!r:.200}; it must hold 'repository' (owner/name) and 'number' (1..)"
        )
    try:
        return Repository.parse(name), number
    except InvalidRepository as error:
        raise InvalidPayload(f"payload of {EXPLAIN_ISSUE}: {error}") from error


def _skipped(run: IntentRun, reason: str | None) -> JsonValue:
    run.logger.debug("explanation.skipped", extra={"reason": reason})
    return {"outcome": "skipped", "reason": reason}
