"""The endpoints of GitHub's REST API that the forge knows, each a function of the world and the call."""

import json
from collections.abc import Callable

from domain.github.adapters.forge.answer import Answer, Call, Refused, ok, problem
from domain.github.adapters.forge.listing import Page, selected, since_of
from domain.github.adapters.forge.shapes import comment_json, issue_json, repository_json
from domain.github.adapters.forge.world import Issue, Repository, World

Endpoint = Callable[[World, Call], Answer]

LONGEST_COMMENT = 65_536  # characters, GitHub's own limit

_ISSUES_DOCS = "https://docs.github.com/rest/issues/issues"
_COMMENTS_DOCS = "https://docs.github.com/rest/issues/comments"


def get_repository(world: World, call: Call) -> Answer:
    """``GET /repos/{owner}/{name}``: names are compared without case; an old name answers 301."""
    return ok(repository_json(_repository(world, call), world, call.base))


def list_issues(world: World, call: Call) -> Answer:
    """``GET /repos/{owner}/{name}/issues``: pull requests are among them; *since* is inclusive on updated_at."""
    repository = _repository_with_issues(world, call)
    issues = selected(
        world.issues[repository.id].values(), call.query, lambda issue: len(world.comments.get(issue.id, ()))
    )
    page = Page.of(call.query)
    shown = [issue_json(issue, world, call.base) for issue in page.cut(issues)]
    return ok(shown, headers=_link(page, f"/repositories/{repository.id}/issues", call, len(issues)))


def get_issue(world: World, call: Call) -> Answer:
    """``GET /repos/{owner}/{name}/issues/{number}``."""
    return ok(issue_json(_issue(world, call), world, call.base))


def list_comments(world: World, call: Call) -> Answer:
    """``GET /repos/{owner}/{name}/issues/{number}/comments``: oldest first."""
    issue = _issue(world, call)
    since = since_of(call.query)
    comments = [item for item in world.comments_of(issue) if since is None or item.created_at >= since]
    page = Page.of(call.query)
    shown = [comment_json(comment, world, call.base) for comment in page.cut(comments)]
    address = f"/repositories/{issue.repository_id}/issues/{issue.number}/comments"
    return ok(shown, headers=_link(page, address, call, len(comments)))


def post_comment(world: World, call: Call) -> Answer:
    """``POST /repos/{owner}/{name}/issues/{number}/comments``: 201, and the issue counts as updated."""
    issue = _issue(world, call)
    comment = world.comment(issue, _comment_text(call.body))
    answer = comment_json(comment, world, call.base)
    return ok(answer, 201, {"Location": str(answer["url"])})


def not_found(_world: World, _call: Call) -> Answer:
    """Any other address, and any other method of a known one."""
    raise Refused(problem(404, "Not Found"))


def _repository(world: World, call: Call) -> Repository:
    if "id" in call.parameters:
        by_id = world.repositories.get(whole_number(call.parameters["id"]))
        if by_id is None:
            raise Refused(problem(404, "Not Found"))
        return by_id
    full_name = f"{call.parameters['owner']}/{call.parameters['name']}"
    repository = world.find(full_name)
    if repository is None:
        raise Refused(
            problem(404, "Not Found", documentation="https://docs.github.com/rest/repos/repos#get-a-repository")
        )
    if repository.full_name.lower() != full_name.lower():
        raise Refused(_moved(repository, full_name, call))
    return repository


def _moved(repository: Repository, full_name: str, call: Call) -> Answer:
    """301 to the address by id; 307 for a method that must not become a GET on the way."""
    rest = call.path[len(f"/repos/{full_name}") :]
    query = f"?{call.raw_query}" if call.raw_query else ""
    url = f"{call.base}/repositories/{repository.id}{rest}{query}"
    reads = call.method in ("GET", "HEAD")
    status, message = (301, "Moved Permanently") if reads else (307, "Temporary Redirect")
    return problem(status, message, url=url).having({"Location": url})


def _repository_with_issues(world: World, call: Call) -> Repository:
    repository = _repository(world, call)
    if not repository.has_issues:
        raise Refused(problem(410, "Issues has been disabled in this repository.", documentation=_ISSUES_DOCS))
    return repository


def _issue(world: World, call: Call) -> Issue:
    repository = _repository_with_issues(world, call)
    issue = world.issue(repository, whole_number(call.parameters["number"]))
    if issue is None:
        raise Refused(problem(404, "Not Found", documentation=f"{_ISSUES_DOCS}#get-an-issue"))
    return issue


def whole_number(text: str) -> int:
    """A number of the path; 0, which nothing has, for what is none (GitHub answers 404)."""
    return int(text) if text.isdecimal() and len(text) < 16 else 0


def _comment_text(body: bytes) -> str:
    try:
        payload: object = json.loads(body)
    except ValueError:
        raise Refused(problem(400, "Problems parsing JSON", documentation=_COMMENTS_DOCS)) from None
    if not isinstance(payload, dict):
        raise Refused(problem(400, "Body should be a JSON object", documentation=_COMMENTS_DOCS))
    text = payload.get("body")
    if text is None:
        raise Refused(problem(422, 'Invalid request.\n\n"body" wasn\'t supplied.', documentation=_COMMENTS_DOCS))
    if not isinstance(text, str):
        message = f"Invalid request.\n\nFor 'properties/body', {json.dumps(text)[:80]} is not a string."
        raise Refused(problem(422, message, documentation=_COMMENTS_DOCS))
    if not text.strip():
        raise Refused(_unprocessable("missing_field", "body cannot be blank"))
    if len(text) > LONGEST_COMMENT:
        raise Refused(_unprocessable("custom", f"body is too long (maximum is {LONGEST_COMMENT} characters)"))
    return text


def _unprocessable(code: str, message: str) -> Answer:
    errors = [{"resource": "IssueComment", "code": code, "field": "body", "message": message}]
    return problem(422, "Validation Failed", errors=errors, documentation=_COMMENTS_DOCS)


def _link(page: Page, path: str, call: Call, total: int) -> dict[str, str]:
    links = page.links(call.base + path, call.query, total)
    return {} if links is None else {"Link": links}
