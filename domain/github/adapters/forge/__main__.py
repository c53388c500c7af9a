"""``python -m domain.github.adapters.forge``: the forge as a process of its own.

Prints its address as one line on standard output when it answers, and serves until SIGTERM or SIGINT, which end it
with 0. A wrong option, a port in use or a bad state file is one line on standard error and exit 2.
"""

import argparse
import signal
import sys
from pathlib import Path

import anyio

from domain.github.adapters.forge.errors import ForgeError
from domain.github.adapters.forge.forge import Forge
from domain.github.adapters.forge.orders import trouble_of_text
from domain.github.adapters.forge.scenario import SANDBOX, Scenario
from domain.github.adapters.forge.server import serving
from domain.github.adapters.forge.trouble import Kind
from domain.github.adapters.forge.world import World


def main(arguments: list[str] | None = None) -> int:
    """Run the forge; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        forge = Forge(
            World.seeded(seed=options.seed, extra_issues=options.issues, extra_repositories=options.repositories),
            token=options.token,
            limit=options.limit,
            state_file=options.state,
            troubles=[trouble_of_text(text) for text in options.trouble],
        )
        scenario = SANDBOX if options.scenario == "sandbox" else None
        anyio.run(_serve, forge, options.host, options.port, scenario, backend="asyncio")
    except ForgeError as error:
        sys.stderr.write(f"forge: {error}\n")
        return 2
    return 0


async def _serve(forge: Forge, host: str, port: int, scenario: Scenario | None) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with serving(forge, host=host, port=port, scenario=scenario) as url:
            sys.stdout.write(f"{url}\n")
            sys.stdout.flush()
            async for _ in signals:
                return


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m domain.github.adapters.forge",
        description="A GitHub-compatible server on loopback, with trouble on order.",
        epilog=f"Kinds of trouble: {', '.join(Kind)}.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free one (default: %(default)s)")
    parser.add_argument("--state", type=Path, metavar="FILE", help="keep issues and comments here across restarts")
    parser.add_argument("--token", help="demand this token of every request")
    parser.add_argument("--seed", type=int, default=1, help="of what grows (default: %(default)s)")
    parser.add_argument("--limit", type=_count, default=5000, help="requests per hour (default: %(default)s)")
    parser.add_argument("--issues", type=_count, default=0, metavar="N", help="so many more than the ten")
    parser.add_argument("--repositories", type=_count, default=0, metavar="N", help="so many more than the five")
    parser.add_argument("--scenario", choices=("none", "sandbox"), default="none", help="what happens by itself")
    parser.add_argument(
        "--trouble",
        action="append",
        default=[],
        metavar="KIND[:field=value,...]",
        help="pending from the start; may be repeated; fields: times, match, after, seconds, skew, served",
    )
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r} is no count; use 0 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
