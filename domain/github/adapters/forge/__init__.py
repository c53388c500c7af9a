"""The sandbox forge: a GitHub of its own on loopback, seeded, growing, with trouble on order.

The service runs it when it is given no other GitHub; tests run it as the other side. It speaks GitHub's REST API for
repositories, issues and comments: shapes, paging links, weak ETags, rate limit headers, redirects of renamed
repositories, errors.

In code, beside anything that runs on anyio, or beside no event loop at all::

    async with serving(Forge(), scenario=SANDBOX) as url: ...
    with forge_in_thread(Forge(troubles=[Trouble(Kind.RETRY_AFTER, seconds=3)])) as url: ...

Alone, with its comments kept across restarts::

    python -m domain.github.adapters.forge --port 8123 --state forge.json --trouble bad-gateway:times=3,match=issues
    curl 'http://127.0.0.1:8123/repos/tidewater/queue/issues?per_page=2'

Trouble with curl; `trouble.Kind` lists the kinds, `trouble.Trouble` the fields, `control` the other orders::

    forge=http://127.0.0.1:8123/_forge
    curl -d '{"kind": "secondary-limit", "seconds": 5, "match": "^POST", "times": 2}' $forge/trouble
    curl -d '{"kind": "reset", "match": "^POST .*/comments"}' $forge/trouble   # the comment is stored, not answered
    curl -X DELETE $forge/trouble
    curl -d '{"count": 5}' $forge/grow
    curl $forge/log

Who may live here: what a GitHub does. Nothing of the service's own.
Only this package knows starlette and uvicorn.
"""

from domain.github.adapters.forge.errors import BadStateFile, BadTrouble, ForgeError, NotLoopback, PortInUse
from domain.github.adapters.forge.forge import Forge, Seen
from domain.github.adapters.forge.scenario import SANDBOX, Calm, Moment, Scenario
from domain.github.adapters.forge.seed import ISSUES, Draft
from domain.github.adapters.forge.server import forge_in_thread, serving
from domain.github.adapters.forge.trouble import Kind, Trouble
from domain.github.adapters.forge.world import World

__all__ = [
    "ISSUES",
    "SANDBOX",
    "BadStateFile",
    "BadTrouble",
    "Calm",
    "Draft",
    "Forge",
    "ForgeError",
    "Kind",
    "Moment",
    "NotLoopback",
    "PortInUse",
    "Scenario",
    "Seen",
    "Trouble",
    "World",
    "forge_in_thread",
    "serving",
]
