"""``inbox stats``: how many runs there are, by type and state."""

import argparse
import json
from typing import TYPE_CHECKING

from orchestrator.cli import streams
from orchestrator.cli.inbox.arguments import STATES, add_command

if TYPE_CHECKING:
    from orchestrator.contracts import JsonValue
    from orchestrator.inbox.store.records import Stats


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``stats``."""
    parser = add_command(commands, "stats", "count runs by type and state, and say how long the oldest due one waits")
    parser.set_defaults(inbox_run=run)


def run(args: argparse.Namespace) -> int:
    """Print the counts; 0."""
    from datetime import UTC, datetime

    from orchestrator.cli.inbox import table
    from orchestrator.cli.inbox.database import with_inbox
    from orchestrator.cli.inbox.words import iso, span

    stats = with_inbox(args, lambda inbox: inbox.stats())
    due = stats.oldest_due
    waits = None if due is None else max(0.0, (datetime.now(UTC) - due).total_seconds())
    if args.json:
        document = {"counts": _counts(stats), "oldest_due": iso(due), "oldest_due_age": waits}
        streams.write(json.dumps(document, indent=2))
        return 0
    if stats.counts:
        table.show(_rows(stats), right=range(1, len(STATES) + 1))
    else:
        streams.write("the inbox is empty")
    if waits is not None:
        streams.write(f"\nthe oldest due run has waited for {span(waits)}, since {iso(due)}")
    return 0


def _counts(stats: "Stats") -> "list[JsonValue]":
    return [
        {"type": kind, "state": state.value, "count": count} for (kind, state), count in sorted(stats.counts.items())
    ]


def _rows(stats: "Stats") -> list[tuple[str, ...]]:
    from orchestrator.logs.text import one_line

    counts = {(kind, state.value): count for (kind, state), count in stats.counts.items()}
    types = sorted({kind for kind, _ in counts})
    rows = [("TYPE", *(state.upper() for state in STATES))]
    rows += [(one_line(kind), *(str(counts.get((kind, state), "-")) for state in STATES)) for kind in types]
    if len(types) > 1:
        rows.append(("all", *(str(sum(counts.get((kind, state), 0) for kind in types)) for state in STATES)))
    return rows
