"""One execution of a handler, and what became of it."""

from collections.abc import Callable
from inspect import isawaitable
from types import CoroutineType

import anyio

from longrun.deadline import current_run
from longrun.errors import LongrunError, RunKilled, StrayCancellation
from orchestrator.inbox.errors import InvalidHandler, InvalidPayload
from orchestrator.inbox.store.records import Failed, Outcome, Released, Succeeded
from orchestrator.inbox.wire import encode, error_text, storable
from orchestrator.inbox.worker.execution import Execution
from orchestrator.inbox.worker.failure import Classify, FailureVerdict, category_name, retry_in
from orchestrator.inbox.worker.payloads import Unreadable

_NOTHING = Succeeded("null")


class Attempts:
    """Runs handlers. *classify* says what an error means, *random* gives 0 to 1."""

    def __init__(self, classify: Classify, random: Callable[[], float]) -> None:
        self._classify = classify
        self._random = random
        # Shielded: only its own poller ends a handler, so that it is known why.
        self._new_scope = type(anyio.CancelScope())  # the backend's own: anyio would look for it each time
        self._cancelled = anyio.get_cancelled_exc_class()

    async def __call__(self, execution: Execution) -> Outcome | None:
        """Run the handler and say what is to be written; None when the run is not ours to write any more.

        Lets out only what ends the process: KeyboardInterrupt.
        """
        try:
            execution.payload = execution.route.read(execution.claimed.payload)
        except Unreadable as unreadable:
            return self._unreadable(execution, unreadable)
        except Exception as mistake:  # noqa: BLE001 - of a model's own checks, which are the handler's code
            return self.ended(execution, mistake)
        current_run.set(execution)
        scope = execution.scope = self._new_scope(shield=True)
        if execution.stopped is not None:
            scope.cancel()
        result: object = None
        error: BaseException | None = None
        cancelled = True
        try:
            with scope:
                execution.coroutine = begun = execution.route.work(execution)
                if type(begun) is not CoroutineType and not isawaitable(begun):
                    raise _no_async_function(execution, begun)
                result = await begun
                cancelled = False
        except self._cancelled as stray:
            cancelled = False
            error = StrayCancellation(f"the handler of {execution.type!r} was cancelled by somebody else")
            error.__cause__ = stray
        except (Exception, SystemExit) as raised:  # noqa: BLE001 - whatever a handler raises is recorded
            cancelled = False
            error = raised
        finally:
            execution.scope = execution.coroutine = None
            if execution.route.critic is not None:
                execution.over()
        if error is None and not cancelled:
            return _NOTHING if result is None else self._success(execution, result)
        if execution.has_pending:
            await _flush(execution)
        return self.ended(execution, error)

    def ended(self, execution: Execution, error: BaseException | None) -> Outcome | None:
        """What is written of a handler that raised, or was cancelled, or ignores that."""
        if execution.stopped == "killed":
            killed = RunKilled(execution.reason, execution.type)
            killed.__cause__ = error
            return self._failure(execution, killed)
        if error is None and execution.stopped == "timeout":
            timeout = execution.route.timeout
            return self._failure(
                execution,
                TimeoutError(f"the handler of {execution.type!r} ran longer than its timeout of {timeout} s"),
            )
        if error is not None:
            return self._failure(execution, error)
        return Released() if execution.stopped == "drain" else None

    def _success(self, execution: Execution, result: object) -> Outcome:
        try:
            return Succeeded(encode(result, "the handler's result"))
        except InvalidPayload as error:  # its work is done; doing it again would not make the result better
            execution.logger.error("intent.failed: %s", error_text(error))
            return Failed(error_text(error), None)

    def _unreadable(self, execution: Execution, error: Unreadable) -> Outcome:
        execution.logger.error("intent.failed: %s", error)
        return Failed(storable(str(error)), None)

    def _failure(self, execution: Execution, error: BaseException) -> Outcome:
        max_attempts = execution.claimed.max_attempts
        verdict: FailureVerdict
        try:
            verdict = self._classify(error)
            wait = retry_in(verdict, execution.attempt, max_attempts, self._random)
        except Exception as mistake:  # a classifier that fails must not keep the outcome from being written
            execution.logger.exception("intent.classifier_failed: %s", error_text(mistake))
            verdict = _Unknown()
            wait = retry_in(verdict, execution.attempt, max_attempts, self._random)
        # Of a network that is away one line says it all; where an unknown failure comes from is worth knowing.
        trace = error if category_name(verdict) == "UNKNOWN" else None
        if wait is None:
            execution.logger.error("intent.failed: %s", error_text(error), exc_info=trace)
        else:
            told = {"wait": round(wait, 1)}
            execution.logger.warning("intent.attempt_failed: %s", error_text(error), exc_info=trace, extra=told)
        return Failed(error_text(error), wait)


async def _flush(execution: Execution) -> None:
    try:
        await execution.checkpoint.flush()
    except LongrunError as error:
        execution.logger.warning("intent.checkpoint_lost: %s", error)


def _no_async_function(execution: Execution, returned: object) -> InvalidHandler:
    return InvalidHandler(
        f"the handler of {execution.type!r} returned {type(returned).__name__}, which cannot be awaited; make it an "
        "async function"
    )


class _Unknown:
    category: object = "UNKNOWN"
    wait_hint: float | None = None
