"""Runs and their events as a program and as a person reads them."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

from orchestrator.cli.inbox.words import iso, relative, span
from orchestrator.contracts import JsonValue
from orchestrator.inbox.machine import State
from orchestrator.inbox.store.records import ACTIVE, Event, RunRecord
from orchestrator.logs.text import one_line

_LABEL = 12


def run_json(run: RunRecord) -> dict[str, JsonValue]:
    """All of *run*. Times are UTC; payload and result are JSON values, or text when what is stored is no JSON."""
    key, unique = key_of(run)
    return {
        "id": run.id,
        "type": run.type,
        "state": run.state.value,
        "priority": run.priority,
        "run_at": iso(run.run_at),
        "idempotency_key": key,
        "unique": unique,
        "attempt": run.attempt,
        "max_attempts": run.max_attempts,
        "claims": run.claims,
        "fence": run.fence,
        "leased_by": run.leased_by,
        "lease_until": iso(run.lease_until),
        "last_error": run.last_error,
        "created_at": iso(run.created_at),
        "updated_at": iso(run.updated_at),
        "payload": value_of(run.payload),
        "result": None if run.result is None else value_of(run.result),
    }


def event_json(event: Event) -> dict[str, JsonValue]:
    """All of *event*."""
    return {
        "id": event.id,
        "run_id": event.run_id,
        "type": event.type,
        "data": event.data,
        "created_at": iso(event.created_at),
    }


def value_of(stored: str) -> JsonValue:
    """The JSON value of *stored*; the text itself when another program has stored what is none."""
    try:
        value: JsonValue = json.loads(stored)
    except (ValueError, RecursionError):
        return stored
    return value


def key_of(run: RunRecord) -> tuple[str | None, bool]:
    """The idempotency key as it was submitted, and whether it is taken only while the run is active."""
    stored = run.idempotency_key
    if stored is None or not stored.startswith(ACTIVE):
        return stored, False
    return stored.removeprefix(ACTIVE).removesuffix(f":{run.id}"), True


def run_rows(runs: Sequence[RunRecord], now: datetime) -> list[tuple[str, ...]]:
    """A table of *runs* with its heading."""
    return [("ID", "STATE", "AGE", "FAILED", "TYPE", "NOTE"), *(_row(run, now) for run in runs)]


def run_lines(run: RunRecord, now: datetime) -> Iterator[str]:
    """All of *run*, a line for each field and a block for each that is long."""
    key, unique = key_of(run)
    yield field("id", run.id)
    yield field("type", run.type)
    yield field("state", f"{run.state}, since {_when(run.updated_at, now)}" if _ended(run) else run.state.value)
    yield field("submitted", _when(run.created_at, now))
    yield field("due", _when(run.run_at, now))
    yield field("attempts", f"{run.attempt} of {run.max_attempts} failed; claims {run.claims}")
    yield field("priority", str(run.priority))
    if key is not None:
        yield field("key", f"{key}  (taken until the run ends)" if unique else key)
    if run.leased_by is not None:
        until = "" if run.lease_until is None else f" until {_when(run.lease_until, now)}"
        yield field("leased by", f"{run.leased_by}{until}, fence {run.fence}")
    yield from block("payload", pretty(run.payload))
    if run.result is not None:
        yield from block("result", pretty(run.result))
    if run.last_error is not None:
        yield from block("last error", run.last_error)


def event_rows(events: Sequence[Event], now: datetime) -> list[tuple[str, ...]]:
    """A table of *events* with its heading."""
    return [
        ("TIME", "AGE", "EVENT", "DATA"),
        *(
            (
                iso(event.created_at) or "",
                span((now - event.created_at).total_seconds()),
                event.type,
                "" if event.data is None else one_line(json.dumps(event.data, ensure_ascii=False)),
            )
            for event in events
        ),
    ]


def field(label: str, text: str) -> str:
    """A line of a record."""
    return f"{label:<{_LABEL}}{one_line(text)}"


def block(label: str, text: str) -> Iterator[str]:
    """The long text of a record, below its label."""
    yield label
    for line in text.splitlines():
        yield f"  {one_line(line)}"


def pretty(stored: str) -> str:
    """*stored* JSON, laid out for reading."""
    try:
        return json.dumps(json.loads(stored), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return f"(no JSON) {stored}"


def _row(run: RunRecord, now: datetime) -> tuple[str, ...]:
    age = span((now - run.created_at).total_seconds())
    note = "; ".join(one_line(part) for part in _notes(run, now))
    return (run.id, run.state.value, age, f"{run.attempt}/{run.max_attempts}", one_line(run.type), note)


def _notes(run: RunRecord, now: datetime) -> Iterator[str]:
    """What one would ask next: its key, when it is due, who has it, why it failed."""
    key, _ = key_of(run)
    if key is not None:
        yield f"key {key}"
    if run.state is State.LEASED:
        yield f"by {run.leased_by or '?'}"
        if run.lease_until is not None:
            yield f"lease ends {relative(run.lease_until, now)}"
    if run.state is State.PENDING and (run.run_at > now or run.last_error):
        yield f"due {relative(run.run_at, now)}"
    if run.last_error and run.state in (State.PENDING, State.FAILED):
        yield run.last_error


def _ended(run: RunRecord) -> bool:
    return run.state not in (State.PENDING, State.LEASED)


def _when(time: datetime, now: datetime) -> str:
    return f"{iso(time)}  ({relative(time, now)})"
