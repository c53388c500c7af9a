"""The world as GitHub writes it: repositories, issues and comments as JSON objects of the REST API."""

import base64
from datetime import datetime

from domain.github.adapters.forge.ratelimit import RateWindow
from domain.github.adapters.forge.world import BOT, Comment, Issue, Repository, World

Json = dict[str, object]

_COLOURS = {"bug": "d73a4a", "enhancement": "a2eeef", "question": "d876e3", "documentation": "0075ca"}


def timestamp(moment: datetime) -> str:
    """ISO 8601 with whole seconds and ``Z``, the only form GitHub uses."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def repository_json(repository: Repository, world: World, base: str) -> Json:
    """``GET /repos/{owner}/{repo}``."""
    url = f"{base}/repos/{repository.full_name}"
    return {
        "id": repository.id,
        "node_id": _node_id("R", repository.id),
        "name": repository.name,
        "full_name": repository.full_name,
        "private": False,
        "owner": _user(repository.owner, base, kind="Organization"),
        "html_url": f"{base}/{repository.full_name}",
        "description": repository.description or None,
        "fork": False,
        "url": url,
        "issues_url": f"{url}/issues{{/number}}",
        "created_at": timestamp(repository.created_at),
        "updated_at": timestamp(repository.created_at),
        "pushed_at": timestamp(repository.created_at),
        "has_issues": repository.has_issues,
        "archived": False,
        "disabled": False,
        "visibility": "public",
        "default_branch": "main",
        "open_issues_count": sum(issue.closed_at is None for issue in world.issues[repository.id].values()),
    }


def issue_json(issue: Issue, world: World, base: str) -> Json:
    """One element of the issue list; a pull request carries the key ``pull_request``, an issue has no such key."""
    repository = world.repositories[issue.repository_id]
    api = f"{base}/repos/{repository.full_name}"
    page = f"{base}/{repository.full_name}/{'pull' if issue.pull_request else 'issues'}/{issue.number}"
    answer: Json = {
        "url": f"{api}/issues/{issue.number}",
        "repository_url": api,
        "labels_url": f"{api}/issues/{issue.number}/labels{{/name}}",
        "comments_url": f"{api}/issues/{issue.number}/comments",
        "events_url": f"{api}/issues/{issue.number}/events",
        "html_url": page,
        "id": issue.id,
        "node_id": _node_id("PR" if issue.pull_request else "I", issue.id),
        "number": issue.number,
        "title": issue.title,
        "user": _user(issue.user, base),
        "labels": [_label(name, api) for name in issue.labels],
        "state": issue.state,
        "state_reason": "completed" if issue.state == "closed" else None,
        "locked": False,
        "assignee": None,
        "assignees": [],
        "milestone": None,
        "comments": len(world.comments.get(issue.id, ())),
        "created_at": timestamp(issue.created_at),
        "updated_at": timestamp(issue.updated_at),
        "closed_at": None if issue.closed_at is None else timestamp(issue.closed_at),
        "author_association": "CONTRIBUTOR",
        "active_lock_reason": None,
        "body": issue.body,
    }
    if issue.pull_request:
        answer["draft"] = False
        answer["pull_request"] = {
            "url": f"{api}/pulls/{issue.number}",
            "html_url": page,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
            "merged_at": None,
        }
    return answer


def comment_json(comment: Comment, world: World, base: str) -> Json:
    """One comment on an issue."""
    full_name = world.repositories[comment.repository_id].full_name
    return {
        "url": f"{base}/repos/{full_name}/issues/comments/{comment.id}",
        "html_url": f"{base}/{full_name}/issues/{comment.number}#issuecomment-{comment.id}",
        "issue_url": f"{base}/repos/{full_name}/issues/{comment.number}",
        "id": comment.id,
        "node_id": _node_id("IC", comment.id),
        "user": _user(comment.user, base, kind="Bot" if comment.user == BOT else "User"),
        "created_at": timestamp(comment.created_at),
        "updated_at": timestamp(comment.created_at),
        "author_association": "CONTRIBUTOR",
        "body": comment.body,
    }


def rate_limit_json(window: RateWindow) -> Json:
    """``GET /rate_limit``: the resource ``core``, and the same once more under the old name ``rate``."""
    core: Json = {
        "limit": window.limit,
        "used": window.used,
        "remaining": window.remaining,
        "reset": window.reset_seconds,
    }
    return {"resources": {"core": {**core, "resource": "core"}}, "rate": core}


def _user(login: str, base: str, *, kind: str = "User") -> Json:
    number = 20_000_000 + sum(ord(letter) * 131**place for place, letter in enumerate(login)) % 80_000_000
    return {
        "login": login,
        "id": number,
        "node_id": _node_id("U", number),
        "avatar_url": f"{base}/avatars/{login}.png",
        "url": f"{base}/users/{login}",
        "html_url": f"{base}/{login}",
        "type": kind,
        "site_admin": False,
    }


def _label(name: str, api: str) -> Json:
    number = 4_000_000_000 + sum(ord(letter) * 131**place for place, letter in enumerate(name)) % 900_000_000
    return {
        "id": number,
        "node_id": _node_id("LA", number),
        "url": f"{api}/labels/{name}",
        "name": name,
        "color": _COLOURS.get(name, "ededed"),
        "default": name in _COLOURS,
        "description": None,
    }


def _node_id(kind: str, number: int) -> str:
    return f"{kind}_kwDO{base64.urlsafe_b64encode(number.to_bytes(8, 'big')).decode().rstrip('=')}"
