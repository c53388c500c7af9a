"""Everything that a service may tell of a run, put together by hand: for the designs that come without any of it."""

import logging
import os
import time
from collections.abc import Awaitable, Callable

import anyio

from benchmarks.scheduler.telemetry import providers

Work = Callable[[int], Awaitable[None]]


def told(run: Work) -> Work:
    """*run* under a time limit, in a recording span, with a counter and a histogram of the SDK, and a log line."""
    tracers, meters = providers()
    tracer, meter = tracers.get_tracer("bench"), meters.get_meter("bench")
    counter, histogram = meter.create_counter("runs"), meter.create_histogram("run_s")
    labels = {"worker": "w", "outcome": "ok"}
    logger = _logger()

    async def full(unit: int) -> None:
        attributes = {"tenant": f"t{unit % 1000}", "worker": "w"}
        with tracer.start_as_current_span("worker.run", attributes=attributes):
            began = time.perf_counter()
            with anyio.fail_after(30):
                await run(unit)
            counter.add(1, labels)
            histogram.record(time.perf_counter() - began, labels)
            logger.info("run done unit=%s outcome=%s", unit, "ok")

    return full


def _logger() -> logging.Logger:
    logger = logging.getLogger("bench")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logging.disable(logging.NOTSET)  # the child has switched all logs off
    handler = logging.StreamHandler(open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    return logger
