"""One execution of a handler, and what became of it."""

from collections.abc import Callable

import anyio

from orchestrator.inbox.errors import InvalidPayload
from orchestrator.inbox.store.records import Failed, Outcome, Released, Succeeded
from orchestrator.inbox.wire import decode, encode, error_text, storable
from orchestrator.inbox.worker.execution import Execution
from orchestrator.inbox.worker.failure import Classify, FailureVerdict, category_name, retry_in
from orchestrator.inbox.worker.handlers import Handler


async def attempt(
    execution: Execution, handler: Handler, classify: Classify, random: Callable[[], float]
) -> Outcome | None:
    """Run *handler* and say what is to be written; None when the run is not ours to write any more.

    Raises only what ends more than this run: cancellation from outside and KeyboardInterrupt.
    """
    try:
        payload = decode(execution.claimed.payload)
    except ValueError as error:
        return Failed(
            storable(f"the payload cannot be read as JSON: {error}; cancel this run and submit it anew"), None
        )
    execution.begin(payload, handler.timeout)
    outcome: Outcome | None = None
    with execution.scope:
        try:
            outcome = _success(await _within_timeout(execution, handler))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a handler raises is recorded
            outcome = _failure(execution, error, classify, random)
    if outcome is None and execution.stopped == "drain":
        return Released()
    return outcome


async def _within_timeout(execution: Execution, handler: Handler) -> object:
    with anyio.move_on_after(handler.timeout):
        return await handler(execution)
    raise TimeoutError(f"the handler of {execution.type!r} ran longer than its timeout of {handler.timeout} s")


def _success(result: object) -> Outcome:
    try:
        return Succeeded(encode(result, "the handler's result"))
    except InvalidPayload as error:  # its work is done; doing it again would not make the result better
        return Failed(error_text(error), None)


def _failure(execution: Execution, error: BaseException, classify: Classify, random: Callable[[], float]) -> Outcome:
    verdict: FailureVerdict
    try:
        verdict = classify(error)
        wait = retry_in(verdict, execution.attempt, execution.claimed.max_attempts, random)
    except Exception as mistake:  # a classifier that fails must not keep the outcome from being written
        execution.logger.exception("intent.classifier_failed: %s", error_text(mistake))
        verdict = _Unknown()
        wait = retry_in(verdict, execution.attempt, execution.claimed.max_attempts, random)
    # Of a network that is away one line says it all; where an unknown failure comes from is worth knowing.
    trace = error if category_name(verdict) == "UNKNOWN" else None
    if wait is None:
        execution.logger.error("intent.failed: %s", error_text(error), exc_info=trace)
    else:
        told = {"wait": round(wait, 1)}
        execution.logger.warning("intent.attempt_failed: %s", error_text(error), exc_info=trace, extra=told)
    return Failed(error_text(error), wait)


class _Unknown:
    category: object = "UNKNOWN"
    wait_hint: float | None = None
