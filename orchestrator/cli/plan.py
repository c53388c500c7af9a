"""``plan``: what the service would run, without running or opening anything."""

import argparse
import sys
from typing import TYPE_CHECKING

from orchestrator.cli import streams

if TYPE_CHECKING:
    from orchestrator.contracts.intents import JsonValue
    from orchestrator.planner import Plan
    from orchestrator.service import Service
    from orchestrator.settings import Settings


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``plan [--json]``."""
    help_text = "print units, phases, intervals, policies and deadlines; run nothing"
    parser = subparsers.add_parser("plan", help=help_text, description=help_text)
    parser.add_argument("--json", action="store_true", help="one JSON object; all durations in seconds")


def run(args: argparse.Namespace) -> int:
    """Print the plan of ``args.service_type``; 0. Raises what is wrong with the settings, the wiring or the plan."""
    from orchestrator.container import WiringError, built, wiring_problems
    from orchestrator.planner import Planner
    from orchestrator.settings import load

    service: type[Service] = args.service_type
    settings = load(service.settings, args.config)
    container = service.container(settings=settings)
    problems = wiring_problems(container)
    if problems:
        raise WiringError(problems)
    plan = Planner(built(container)).plan()
    deadlines = _deadlines(settings)
    if args.json:
        _print_json({"service": service.name, **plan.to_json(), "deadlines": deadlines})
    else:
        _print_text(service.name, plan, deadlines)
    return 0


def _deadlines(settings: "Settings") -> "dict[str, JsonValue]":
    chosen = settings.orchestrator
    return {
        "preflight_deadline": chosen.preflight_deadline,
        "preflight_cap": chosen.preflight_cap,
        "settle": chosen.settle,
        "shutdown_timeout": chosen.shutdown_timeout,
    }


def _print_json(value: "JsonValue") -> None:
    import json

    streams.write(json.dumps(value, indent=2))


def _print_text(name: str, plan: "Plan", deadlines: "dict[str, JsonValue]") -> None:
    from orchestrator.planner.listing import lines, table
    from orchestrator.planner.policies import POLICIES

    streams.write(f"service {name}: {plan.count('preflight')} preflights, then {plan.count('worker')} workers\n")
    rows = table(plan)
    if not (sys.stdout.isatty() and _print_rich(rows)):
        for line in lines(rows):
            streams.write(line)
    streams.write("\nwaits after a failure (first .. longest)")
    for phase, policy in POLICIES.items():
        unknown = policy.unknown or "permanent"
        streams.write(f"  {phase:<9}  node {policy.node}, service {policy.service}, unknown {unknown}")
    streams.write("\ndeadlines")
    for what, seconds in deadlines.items():
        streams.write(f"  {what:<18}  {'none' if seconds is None else f'{seconds:g} s'}")


def _print_rich(rows: list[tuple[str, ...]]) -> bool:
    """Draw *rows* as a table of the terminal's width; False when rich is not installed."""
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    drawn = Table(*rows[0], box=None, header_style="bold", pad_edge=False)
    for row in rows[1:]:
        drawn.add_row(*map(Text, row))
    Console().print(drawn)
    return True
