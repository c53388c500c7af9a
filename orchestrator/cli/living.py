"""What ``run`` and ``check`` share: settings, logs, progress, the event loop, and leaving with abandoned runs."""

import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import anyio

from longrun.events import Listener
from orchestrator.cli import streams
from orchestrator.cli.progress import PreflightProgress
from orchestrator.life import Life
from orchestrator.logs import LineHandler, configure
from orchestrator.scheduler.event_log import EventLog
from orchestrator.scheduler.outcome import PhaseOutcome, PreflightFailure, ServiceOutcome, described
from orchestrator.service import Service
from orchestrator.settings import load, secret_values

T = TypeVar("T")

ABANDONED = 4
_EXIT_CODES = {"passed": 0, "failed": 1, "cancelled": 3}
_log = logging.getLogger("orchestrator.life")


def live_run(service: type[Service], config: Path | None, *, seconds: float | None, once: bool) -> int:
    """Run *service*; its exit code."""
    life, progress, logs = _prepare(service, config)

    async def main() -> ServiceOutcome:
        return await life.run(seconds=seconds, once=once)

    outcome = _in_loop(main, progress)
    if outcome.preflights.status != "passed":
        for line in outcome.preflights.lines():
            streams.say(logs.redactor(line))
    for failure in outcome.died:
        streams.say(logs.redactor(f"worker failed: {failure}"))
    if outcome.abandoned:
        streams.say(_told(outcome.abandoned))
    logs.flush()  # what is still folded belongs before the last line
    reason = outcome.reason or outcome.preflights.reason or "all work is done"
    _log.info("service.stopped", extra={"reason": reason, "code": outcome.exit_code})
    return outcome.exit_code


def live_check(service: type[Service], config: Path | None, *, as_json: bool) -> int:
    """Run phase 1 of *service* and print its report; the exit code."""
    life, progress, logs = _prepare(service, config)
    outcome = _in_loop(life.check, progress)
    try:
        if as_json:
            streams.write(json.dumps(logs.redactor.clean(_json(outcome)), indent=2))
        else:
            streams.write(logs.redactor("\n".join(outcome.lines())))
        streams.flush()
    except BrokenPipeError:
        if not streams.reader_is_gone():
            raise
    return _EXIT_CODES[outcome.status]


def _prepare(service: type[Service], config: Path | None) -> tuple[Life, PreflightProgress, LineHandler]:
    settings = load(service.settings, config)
    logs = configure(settings.log.format, settings.log.level, service.name, secrets=secret_values(settings))
    progress = PreflightProgress(sys.stderr, logs)
    listeners: list[Listener] = [EventLog(), progress]
    life = Life(service, settings, listeners, on_stuck=_leave)
    progress.expect(life.plan.count("preflight"))
    return life, progress, logs


def _in_loop(main: Callable[[], Awaitable[T]], progress: PreflightProgress) -> T:
    try:
        return anyio.run(main)
    finally:
        progress.close()


def _leave(abandoned: tuple[str, ...]) -> None:
    """Abandoned runs hold the event loop open for ever: everything else is closed, so the process ends here."""
    streams.say(_told(abandoned))
    logging.shutdown()
    os._exit(ABANDONED)


def _told(abandoned: tuple[str, ...]) -> str:
    return f"abandoned, because they ignored their cancellation: {', '.join(abandoned)}"


def _json(outcome: PhaseOutcome) -> dict[str, object]:
    return {
        "status": outcome.status,
        "reason": outcome.reason,
        "passed": outcome.passed,
        "failed": [_failure(failure) for failure in outcome.failures],
        "still_failing": [_failure(failure) for failure in outcome.pending],
        "never_started": outcome.never_started,
        "quarantined": [{"module": module, "tenant": tenant} for module, tenant in sorted(outcome.quarantined)],
    }


def _failure(failure: PreflightFailure) -> dict[str, object]:
    error = None if failure.error is None else described(failure.error)
    return {"id": failure.id, "error": error, "reason": failure.reason}
