"""What a human sees at an issue's ``html_url``: its text and its comments, plain."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from domain.github.adapters.forge.endpoints import whole_number
from domain.github.adapters.forge.forge import Forge
from domain.github.adapters.forge.shapes import timestamp
from domain.github.adapters.forge.world import Issue, World


def page_routes(forge: Forge) -> list[Route]:
    """Pages of issues and pull requests; no token, no rate limit, no trouble: they are not part of the API."""
    return [Route(f"/{{owner}}/{{name}}/{kind}/{{number}}", _page(forge)) for kind in ("issues", "pull")]


def issue_page(issue: Issue, world: World) -> str:
    """The issue and its comments, oldest first."""
    full_name = world.repositories[issue.repository_id].full_name
    head = f"{full_name}#{issue.number} [{issue.state}] {issue.title}"
    labels = f"labels: {', '.join(issue.labels) or 'none'}"
    parts = [f"{head}\n{labels}", f"{issue.user}, {timestamp(issue.created_at)}\n\n{issue.body or '(no text)'}"]
    parts += [f"{item.user}, {timestamp(item.created_at)}\n\n{item.body}" for item in world.comments_of(issue)]
    return f"\n\n{'-' * 80}\n".join(part.strip() for part in parts) + "\n"


def _page(forge: Forge) -> Callable[[Request], Awaitable[Response]]:
    async def page(request: Request) -> Response:
        with forge.held():
            repository = forge.world.find("{owner}/{name}".format(**request.path_params))
            number = whole_number(request.path_params["number"])
            issue = None if repository is None else forge.world.issue(repository, number)
            if issue is None:
                return PlainTextResponse("No such issue.\n", 404)
            return PlainTextResponse(issue_page(issue, forge.world))

    return page
