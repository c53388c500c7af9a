"""shed.priority: low is shed first, critical last."""

from random import Random

import anyio
import pytest

from longrun import Pipeline, Shed, shed
from longrun.shed.priorities import rank
from longrun.testing import Script

pytestmark = pytest.mark.anyio


async def test_a_priority_holds_inside_and_in_tasks_started_there_and_ends_with_the_block() -> None:
    """Nested, inherited, and back to normal; also when the block raises."""
    seen: list[int] = []

    async def note() -> None:
        seen.append(rank.get())

    async def fail_after(first) -> None:
        await first()
        raise KeyError

    async with anyio.create_task_group() as tg:
        await note()
        with shed.priority("critical"):
            tg.start_soon(note)
            with pytest.raises(KeyError), shed.priority("low"):
                await fail_after(note)
            await note()
        await note()

    assert sorted(seen) == [0, 1, 1, 3, 3]


async def test_an_unknown_priority_is_one_clear_error() -> None:
    """At once, before the block, with the names there are."""
    with pytest.raises(ValueError, match=r"shed\.priority is 'urgent'; give one of low, normal, high, critical"):
        shed.priority("urgent")  # type: ignore[arg-type]  # what the test is about


async def test_adaptive_keeps_room_for_what_is_more_important() -> None:
    """Low calls leave 40 % of the limit to others, normal ones 20 %, high ones 10 %."""
    policy = Pipeline(shed.adaptive(initial=20))
    admitted: dict[str, int] = {}

    async with anyio.create_task_group() as tg:
        for name in shed.PRIORITIES:
            admitted[name] = 0
            with shed.priority(name):
                for _ in range(100):
                    tg.start_soon(count, policy, admitted, name)
                await anyio.sleep(0.1)

    assert admitted == {"low": 12, "normal": 4, "high": 2, "critical": 2}


async def count(policy: Pipeline, admitted: dict[str, int], name: str) -> None:
    try:
        await policy.do(Script(10.0))
        admitted[name] += 1
    except Shed:
        pass


@pytest.mark.parametrize(
    ("option", "work"),
    [
        (shed.throttle(window=20), lambda number: Script("ok") if number % 2 else Script(TimeoutError())),
        (shed.on_latency(0.5), lambda number: Script(0.1) if number % 2 else Script(1.0)),
    ],
    ids=["throttle", "on_latency"],
)
@pytest.mark.slow
async def test_under_overload_the_less_important_is_shed_more(option: object, work: object) -> None:
    """Half of the calls go badly: refusals are ordered by priority, and critical ones go on."""
    policy = Pipeline(option, rng=Random(4))  # type: ignore[arg-type]  # parametrised
    refused = dict.fromkeys(shed.PRIORITIES, 0)

    async def one(number: int) -> None:
        name = shed.PRIORITIES[number // 2 % 4]
        try:
            with shed.priority(name):
                await policy.do(work(number))  # type: ignore[operator]  # parametrised
        except Shed:
            refused[name] += 1
        except TimeoutError:
            pass

    async with anyio.create_task_group() as tg:
        for number in range(8_000):
            tg.start_soon(one, number)
            await anyio.sleep(0.01)

    assert refused["low"] > refused["normal"] > 0
    assert refused["normal"] > refused["high"] >= refused["critical"]
    assert refused["critical"] == 0
