"""The peers' rows, each written the way its documentation does it, with the same limits and no waits."""

# Every library is imported inside its row: one that is missing, or does not run on a backend, costs its row alone.
from typing import Any

from benchmarks.resilience import floors
from benchmarks.resilience.row import BOTH, NEVER, Boom, Row, Target


def tenacity_retry(f: Target) -> Any:
    import tenacity

    return tenacity.retry(
        stop=tenacity.stop_after_attempt(3),
        wait=tenacity.wait_none(),
        retry=tenacity.retry_if_exception_type(Boom),
        reraise=True,
    )(f)


def stamina_retry(f: Target) -> Any:
    import stamina

    stamina.instrumentation.set_on_retry_hooks([])
    return stamina.retry(on=Boom, attempts=3, timeout=None, wait_initial=0, wait_max=0, wait_jitter=0)(f)


def backoff_retry(f: Target) -> Any:
    import backoff

    return backoff.on_exception(backoff.constant, Boom, interval=0, jitter=None, max_tries=3, logger=None)(f)


def hyx_retry(f: Target) -> Any:
    from hyx.retry import retry

    return retry(on=Boom, attempts=3, backoff=0)(f)


def hyx_breaker(f: Target) -> Any:
    from hyx.circuitbreaker import consecutive_breaker

    return consecutive_breaker(failure_threshold=NEVER)(f)


def hyx_bulkhead(f: Target) -> Any:
    from hyx.bulkhead import bulkhead

    return bulkhead(max_concurrency=1000, max_capacity=1000)(f)


async def hyx_timeout(f: Target) -> Any:
    from hyx.timeout import timeout

    return timeout(max_delay_secs=30)(f)


async def hyx_bucket(f: Target) -> Any:
    from hyx.ratelimit import tokenbucket

    return tokenbucket(max_executions=1e9, per_time_secs=1)(f)


async def hyx_pipeline(f: Target) -> Any:
    return hyx_retry(await hyx_timeout(hyx_breaker(f)))


def pybreaker_breaker(f: Target) -> Any:
    """pybreaker guards plain functions; a coroutine runs through it as a generator driven by hand (needs tornado)."""
    import pybreaker

    guard = pybreaker.CircuitBreaker(fail_max=NEVER)

    async def call() -> int:
        return await guard.call_async(f)

    return call


def aiobreaker_breaker(f: Target) -> Any:
    import aiobreaker

    return aiobreaker.CircuitBreaker(fail_max=NEVER)(f)


async def purgatory_breaker(f: Target) -> Any:
    from purgatory import AsyncCircuitBreakerFactory

    guard = await AsyncCircuitBreakerFactory(default_threshold=NEVER).get_breaker("bench")

    async def call() -> int:
        async with guard:
            return await f()

    return call


def purgatory_decorator(f: Target) -> Any:
    from purgatory import AsyncCircuitBreakerFactory

    return AsyncCircuitBreakerFactory(default_threshold=NEVER)("bench")(f)


def circuitbreaker_breaker(f: Target) -> Any:
    from circuitbreaker import circuit

    return circuit(failure_threshold=NEVER)(f)


def interlock_breaker(f: Target) -> Any:
    from interlock import CircuitBreaker, Config

    return CircuitBreaker(name="bench", config=Config(minimum_number_of_calls=NEVER))(f)


def interlock_pipeline(f: Target) -> Any:
    import tenacity
    from interlock import CircuitBreaker, Config, Pipeline

    guard = CircuitBreaker(name="bench", config=Config(minimum_number_of_calls=NEVER))
    retrying = {"attempts": 3, "wait": tenacity.wait_none(), "retry": tenacity.retry_if_exception_type(Boom)}
    return Pipeline.builder().retry(**retrying).timeout(30.0).circuit_breaker(guard).build()(f)


def nopanic_retry(f: Target) -> Any:
    import nopanic

    return nopanic.retry(3, on=Boom, backoff=nopanic.backoff.fixed(0))(f)


def nopanic_breaker(f: Target) -> Any:
    import nopanic

    return nopanic.circuit_breaker(failure_threshold=1.0, min_calls=NEVER)(f)


def nopanic_timeout(f: Target) -> Any:
    import nopanic

    return nopanic.timeout(30.0)(f)


def nopanic_bulkhead(f: Target) -> Any:
    import nopanic

    return nopanic.bulkhead(1000)(f)


def nopanic_rate_limit(f: Target) -> Any:
    import nopanic

    return nopanic.rate_limit(1e9)(f)


def nopanic_hedge(f: Target) -> Any:
    import nopanic

    return nopanic.hedge(delay=30.0)(f)


def nopanic_pipeline(f: Target) -> Any:
    import nopanic

    return nopanic.compose(
        nopanic.retry(3, on=Boom, backoff=nopanic.backoff.fixed(0)),
        nopanic.timeout(30.0),
        nopanic.circuit_breaker(failure_threshold=1.0, min_calls=NEVER),
    )(f)


def pyresilience_retry(f: Target) -> Any:
    from pyresilience import RetryConfig, resilient

    return resilient(retry=RetryConfig(3, delay=0.0, jitter=False, retry_on=(Boom,)))(f)


def pyresilience_breaker(f: Target) -> Any:
    from pyresilience import CircuitBreakerConfig, resilient

    return resilient(circuit_breaker=CircuitBreakerConfig(failure_threshold=NEVER))(f)


def pyresilience_pipeline(f: Target) -> Any:
    from pyresilience import CircuitBreakerConfig, RetryConfig, TimeoutConfig, resilient

    return resilient(
        retry=RetryConfig(3, delay=0.0, jitter=False, retry_on=(Boom,)),
        timeout=TimeoutConfig(30.0),
        circuit_breaker=CircuitBreakerConfig(failure_threshold=NEVER),
    )(f)


def _redress(f: Target, **settings: Any) -> Any:
    from redress import AsyncPolicy, AsyncRetry, CircuitBreaker, ErrorClass

    guard = CircuitBreaker(failure_threshold=NEVER) if settings else None
    policy = AsyncPolicy(
        retry=AsyncRetry(
            classifier=lambda _error: ErrorClass.TRANSIENT, strategy=lambda _context: 0.0, max_attempts=3, **settings
        ),
        circuit_breaker=guard,
    )

    async def call() -> int:
        return await policy.call(f)

    return call


def redress_retry(f: Target) -> Any:
    return _redress(f)


def redress_pipeline(f: Target) -> Any:
    return _redress(f, attempt_timeout_s=30.0)


ROWS = (
    Row("nopanic", "retry", nopanic_retry, BOTH),
    Row("hyx", "retry", hyx_retry, BOTH),
    Row("pyresilience", "retry", pyresilience_retry, BOTH),
    Row("backoff", "retry", backoff_retry, BOTH),
    Row("redress", "retry", redress_retry, BOTH),
    Row("stamina", "retry", stamina_retry, BOTH),
    Row("tenacity", "retry", tenacity_retry, BOTH),
    Row("nopanic", "breaker", nopanic_breaker),
    Row("hyx", "breaker", hyx_breaker),
    Row("pyresilience", "breaker", pyresilience_breaker),
    Row("purgatory, async with", "breaker", purgatory_breaker),
    Row("purgatory, decorator", "breaker", purgatory_decorator),
    Row("circuitbreaker", "breaker", circuitbreaker_breaker),
    Row("aiobreaker", "breaker", aiobreaker_breaker),
    Row("interlock-cb", "breaker", interlock_breaker),
    Row("pybreaker", "breaker", pybreaker_breaker),
    Row("nopanic", "bulkhead", nopanic_bulkhead),
    Row("hyx", "bulkhead", hyx_bulkhead),
    Row("nopanic", "ratelimit", nopanic_rate_limit),
    Row("hyx", "ratelimit", hyx_bucket),
    Row("nopanic", "timeout", nopanic_timeout),
    Row("hyx", "timeout", hyx_timeout),
    Row("nopanic", "hedge", nopanic_hedge),
    Row("nopanic", "pipeline", nopanic_pipeline, BOTH),
    Row("hyx", "pipeline", hyx_pipeline, BOTH),
    Row("pyresilience", "pipeline", pyresilience_pipeline, BOTH),
    Row("redress", "pipeline", redress_pipeline, BOTH),
    Row("interlock-cb", "pipeline", interlock_pipeline, BOTH),
    Row(
        "stamina over asyncio.timeout and aiobreaker",
        "pipeline",
        lambda f: stamina_retry(floors.asyncio_timeout(aiobreaker_breaker(f))),
        BOTH,
    ),
    Row(
        "tenacity over asyncio.timeout and aiobreaker",
        "pipeline",
        lambda f: tenacity_retry(floors.asyncio_timeout(aiobreaker_breaker(f))),
        BOTH,
    ),
)
