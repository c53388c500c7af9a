"""Schedules and their fires as a program and as a person reads them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from orchestrator.cli.inbox.shown import block, field, pretty, value_of
from orchestrator.cli.inbox.words import iso, relative
from orchestrator.contracts import JsonValue
from orchestrator.inbox.store.schedules import ScheduleRecord
from orchestrator.logs.text import one_line


def schedule_json(schedule: ScheduleRecord) -> dict[str, JsonValue]:
    """All of *schedule*. Times are UTC; the payload is a JSON value, or text when what is stored is no JSON."""
    return {
        "id": schedule.id,
        "type": schedule.type,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "enabled": schedule.enabled,
        "next_run_at": iso(schedule.next_run_at),
        "last_run_at": iso(schedule.last_run_at),
        "priority": schedule.priority,
        "max_attempts": schedule.max_attempts,
        "misfire": schedule.misfire,
        "last_error": schedule.last_error,
        "created_at": iso(schedule.created_at),
        "updated_at": iso(schedule.updated_at),
        "payload": value_of(schedule.payload),
    }


def fires_json(fires: Sequence[datetime]) -> list[JsonValue]:
    """The times in UTC."""
    return [iso(fire) for fire in fires]


def fire_lines(fires: Sequence[datetime]) -> Iterator[str]:
    """A line for each, with how far away it is."""
    now = datetime.now(UTC)
    for index, fire in enumerate(fires):
        yield f"{'next fires' if index == 0 else '':<12}{iso(fire)}  ({relative(fire, now)})"


def schedule_rows(schedules: Sequence[ScheduleRecord]) -> list[tuple[str, ...]]:
    """A table of *schedules* with its heading."""
    now = datetime.now(UTC)
    return [("ID", "NEXT", "TYPE", "CRON"), *(_row(each, now) for each in schedules)]


def schedule_lines(schedule: ScheduleRecord, fires: Sequence[datetime]) -> Iterator[str]:
    """All of *schedule*, a line for each field and a block for each that is long."""
    yield field("id", schedule.id)
    yield field("type", schedule.type)
    yield field("cron", f"{schedule.cron}  ({schedule.timezone})")
    yield field("state", "on" if schedule.enabled else "paused")
    yield field("last fire", iso(schedule.last_run_at) or "none")
    if schedule.enabled:
        yield from fire_lines(fires)
    yield field("misfire", schedule.misfire or "run_once")
    yield field("priority", str(schedule.priority))
    yield field("attempts", f"{schedule.max_attempts} for each run")
    yield from block("payload", pretty(schedule.payload))
    if schedule.last_error is not None:
        yield from block("last error", schedule.last_error)


def _row(schedule: ScheduleRecord, now: datetime) -> tuple[str, ...]:
    following = relative(schedule.next_run_at, now) if schedule.enabled else "paused"
    cron = f"{schedule.cron} {schedule.timezone}"
    remark = cron if schedule.last_error is None else f"{cron}; {schedule.last_error}"
    return (schedule.id, following, one_line(schedule.type), one_line(remark))
