"""Retries in layers: what a pipeline below has retried in vain, one above does not retry again."""

import pytest

from longrun import Pipeline, compose, observe, retry, timeline, timeout
from longrun.backoff import constant
from longrun.events import GaveUp
from longrun.fallback import to
from longrun.testing import RecordingListener, Script

pytestmark = pytest.mark.anyio

THREE_MORE = compose(retry.on(ConnectionError, 3, constant(0)))


async def test_three_layers_of_four_attempts_make_four_calls() -> None:
    """Not 64: the layer next to the failure retries it, those above pass its error on."""
    work = Script(ConnectionError("away"))
    inner, middle, outer = (Pipeline(THREE_MORE, name=name) for name in ("inner", "middle", "outer"))

    with pytest.raises(ConnectionError, match="away"):
        await outer.do(lambda: middle.do(lambda: inner.do(work)))

    assert work.calls == 4


async def test_the_timeline_shows_the_attempts_that_were_made(events: RecordingListener) -> None:
    """Those of the layer that made them; the layer above says in its event why it made none."""
    with pytest.raises(ConnectionError) as caught:
        await Pipeline(observe(events), THREE_MORE).do(
            lambda: Pipeline(timeout.after(60), THREE_MORE).do(Script(ConnectionError("away")))
        )

    assert [attempt.index for attempt in timeline(caught.value)] == [1, 2, 3, 4]
    (told,) = events.of(GaveUp)
    assert told.reason == "a pipeline below made 4 attempts in vain, and retries do not multiply"


async def test_a_rule_that_says_nested_multiplies() -> None:
    """For those who mean it: 4 x 2 calls."""
    work = Script(ConnectionError("away"))
    twice = Pipeline(retry.on(ConnectionError, 1, constant(0), nested=True))

    with pytest.raises(ConnectionError) as caught:
        await twice.do(lambda: Pipeline(THREE_MORE).do(work))

    assert work.calls == 8
    assert len(timeline(caught.value)) == 2


async def test_what_a_pipeline_below_did_not_retry_is_retried_above() -> None:
    """Its rules were about other errors: nothing was multiplied."""
    work = Script(TimeoutError("slow"), "ok")

    answer = await Pipeline(retry.on(TimeoutError, 3, constant(0))).do(lambda: Pipeline(THREE_MORE).do(work))

    assert answer == "ok"
    assert work.calls == 2


async def test_the_same_error_object_is_retried_in_the_next_call() -> None:
    """Only what was retried in vain within this very attempt counts, also while a test's clock stands still."""
    error = ConnectionError("the one and only")
    pipeline = Pipeline(THREE_MORE)
    first, second = Script(error), Script(error)
    with pytest.raises(ConnectionError):
        await pipeline.do(first)

    with pytest.raises(ConnectionError):
        await pipeline.do(second)

    assert (first.calls, second.calls) == (4, 4)


async def test_an_error_raised_from_one_that_was_retried_counts_as_retried() -> None:
    """A client that wraps what its own retries gave up on."""
    work = Script(ConnectionError("away"))

    async def client() -> object:
        try:
            return await Pipeline(THREE_MORE).do(work)
        except ConnectionError as error:
            raise LookupError("no answer") from error

    with pytest.raises(LookupError):
        await Pipeline(retry.on(LookupError, 3, constant(0))).do(client)

    assert work.calls == 4


async def test_a_second_way_that_failed_at_once_is_retried() -> None:
    """It is what came out; what was retried before it on the first way is only its context."""
    first, second = Script(ConnectionError("away")), Script(TimeoutError("slow"), "ok")

    async def both() -> object:
        try:
            return await Pipeline(THREE_MORE).do(first)
        except ConnectionError:
            return await second()

    answer = await Pipeline(retry.on(TimeoutError, 1, constant(0))).do(both)

    assert answer == "ok"
    assert (first.calls, second.calls) == (8, 2)


async def test_a_leaf_of_a_group_that_was_retried_below_stops_the_group() -> None:
    """One of several calls at once had its retries; the whole is not done again."""
    work = Script(ConnectionError("away"))

    async def several() -> object:
        try:
            return await Pipeline(THREE_MORE).do(work)
        except ConnectionError as error:
            raise ExceptionGroup("several", [TimeoutError("slow"), error]) from None

    with pytest.raises(ExceptionGroup):
        await Pipeline(retry.on((ConnectionError, TimeoutError), 3, constant(0))).do(several)

    assert work.calls == 4


async def test_a_limit_for_each_attempt_changes_nothing() -> None:
    """The loop that shares one scope with its time limit has the same guard, in every attempt."""
    work = Script(TimeoutError("slow"), *[ConnectionError("away")] * 4, "too late")
    outer = Pipeline(retry.on((ConnectionError, TimeoutError), 3, constant(1)), timeout.after(30))

    with pytest.raises(ConnectionError) as caught:
        await outer.do(lambda: Pipeline(THREE_MORE).do(work))

    assert work.calls == 5
    assert [type(attempt.error) for attempt in timeline(caught.value)] == [TimeoutError, ConnectionError]


async def test_a_fallback_takes_over_all_the_same() -> None:
    """The guard ends the retries, not the pipeline."""
    outer = Pipeline(to("cached"), THREE_MORE)

    answer = await outer.do(lambda: Pipeline(THREE_MORE).do(Script(ConnectionError("away"))))

    assert answer == "cached"
