"""The control API under ``/_forge/``: make trouble, let the world grow, see what was asked and commented.

====== ======================= ======================================================================================
POST   /_forge/trouble         a trouble or a list of them; answers what is pending (GET lists, DELETE forgets it)
POST   /_forge/grow            {"count": 1}: answers what happened
POST   /_forge/issues          {"repository", "title", "body", "labels", "user", "pull_request"}: answers the issue
POST   /_forge/repositories    {"full_name", "description", "has_issues"}: makes one, or switches its issues on or off
POST   /_forge/rename          {"old", "new"}
GET    /_forge/comments        every comment, flat, oldest first
GET    /_forge/log             the requests seen (DELETE empties it); the control API's own are not among them
GET    /_forge/state           counts, repositories, rate limit
====== ======================= ======================================================================================

A malformed order answers 422 with a message that names the field; an unknown repository answers 404.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from domain.github.adapters.forge import orders
from domain.github.adapters.forge.errors import BadTrouble
from domain.github.adapters.forge.forge import Forge
from domain.github.adapters.forge.seed import Draft
from domain.github.adapters.forge.shapes import comment_json, issue_json, rate_limit_json

Order = Callable[[Forge, object, str], object]  # (forge, JSON of the body, base address) -> JSON of the answer


def control_routes(forge: Forge) -> list[Route]:
    """The routes of the control API of *forge*."""
    table: tuple[tuple[str, str, Order, int], ...] = (
        ("POST", "trouble", _trouble, 201),
        ("GET", "trouble", _pending, 200),
        ("DELETE", "trouble", _calm, 200),
        ("POST", "grow", _grow, 201),
        ("POST", "issues", _open_issue, 201),
        ("POST", "repositories", _add_repository, 201),
        ("POST", "rename", _rename, 200),
        ("GET", "comments", _comments, 200),
        ("GET", "log", _log, 200),
        ("DELETE", "log", _forget_log, 200),
        ("GET", "state", _state, 200),
    )
    return [
        Route(f"/_forge/{path}", _endpoint(forge, order, status), methods=[method])
        for method, path, order, status in table
    ]


def _endpoint(forge: Forge, order: Order, status: int) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        base = f"{request.url.scheme}://{request.url.netloc}"
        try:
            data: object = json.loads(await request.body() or b"{}")
            with forge.held():
                return JSONResponse(order(forge, data, base), status)
        except BadTrouble as error:
            return JSONResponse({"message": str(error)}, 422)
        except ValueError as error:
            return JSONResponse({"message": f"the body is no JSON: {error}"}, 400)
        except KeyError as error:
            return JSONResponse({"message": f"no repository, or no free name: {error.args[0]!r}"}, 404)

    return endpoint


def _trouble(forge: Forge, data: object, base: str) -> object:
    forge.trouble(*map(orders.trouble_of, data if isinstance(data, list) else [data]))
    return _pending(forge, data, base)


def _pending(forge: Forge, _data: object, _base: str) -> object:
    return [asdict(trouble) for trouble in forge.pending]


def _calm(forge: Forge, _data: object, _base: str) -> object:
    return {"forgotten": forge.calm()}


def _grow(forge: Forge, data: object, _base: str) -> object:
    return [asdict(step) for step in forge.grow(orders.order(orders.GROW, data).count)]


def _open_issue(forge: Forge, data: object, base: str) -> object:
    order = orders.order(orders.ISSUE, data)
    draft = Draft(order.repository, order.title, order.body, order.labels, order.user, pull_request=order.pull_request)
    return issue_json(forge.open_issue(draft), forge.world, base)


def _add_repository(forge: Forge, data: object, _base: str) -> object:
    order = orders.order(orders.REPOSITORY, data)
    repository = forge.add_repository(order.full_name, order.description, has_issues=order.has_issues)
    return {"id": repository.id, "full_name": repository.full_name, "has_issues": repository.has_issues}


def _rename(forge: Forge, data: object, _base: str) -> object:
    order = orders.order(orders.RENAME, data)
    return {"id": forge.rename(order.old, order.new).id, "full_name": order.new}


def _comments(forge: Forge, _data: object, base: str) -> object:
    return [
        {
            **comment_json(comment, forge.world, base),
            "repository": forge.world.repositories[comment.repository_id].full_name,
            "number": comment.number,
        }
        for comment in forge.comments()
    ]


def _log(forge: Forge, _data: object, _base: str) -> object:
    return [asdict(seen) for seen in forge.log()]


def _forget_log(forge: Forge, _data: object, _base: str) -> object:
    forge.forget_log()
    return {}


def _state(forge: Forge, _data: object, _base: str) -> object:
    world = forge.world
    return {
        "repositories": [
            {
                "full_name": repository.full_name,
                "has_issues": repository.has_issues,
                "issues": len(world.issues[repository.id]),
                "open": sum(issue.closed_at is None for issue in world.issues[repository.id].values()),
            }
            for repository in world.repositories.values()
        ],
        "issues": world.issue_count,
        "comments": world.comment_count,
        "steps": world.steps,
        "requests": forge.requests,
        "pending_trouble": len(forge.pending),
        "rate": rate_limit_json(forge.window)["rate"],
    }
