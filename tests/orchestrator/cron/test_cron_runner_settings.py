"""What a runner refuses to be built with."""

from collections.abc import Iterable
from typing import Any

import pytest

from orchestrator.cron import CronError, CronRunner, RunnerError, next_fire

pytestmark = pytest.mark.anyio


async def nothing(*_: object) -> Any:
    return []


@pytest.mark.parametrize("missing", [("due",), ("run", "mark"), ("due", "run", "mark", "next")])
async def test_missing_callbacks_are_one_error_at_construction(missing: Iterable[str]) -> None:
    """All of them are named."""
    callbacks: dict[str, Any] = {"due": nothing, "run": nothing, "mark": nothing, "next": next_fire}

    with pytest.raises(RunnerError, match=f"CronRunner has no {', '.join(missing)}; it needs due, run, mark, next"):
        CronRunner(**callbacks | dict.fromkeys(missing))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"run": "x"}, "CronRunner run is 'x'; give a function"),
        ({"claim": 1}, "CronRunner claim is 1"),
        ({"interval": 0}, "CronRunner interval is 0"),
        ({"interval": float("nan")}, "CronRunner interval is nan"),
        ({"write_timeout": -1}, "CronRunner write_timeout is -1"),
        ({"limit": 0}, "CronRunner limit is 0; give a whole number of at least 1"),
        ({"limit": 1.5}, "CronRunner limit is 1.5"),
    ],
)
async def test_a_wrong_setting_is_one_error_at_construction(wrong: dict[str, Any], says: str) -> None:
    """It names the value and the remedy."""
    callbacks: dict[str, Any] = {"due": nothing, "run": nothing, "mark": nothing, "next": next_fire}

    with pytest.raises(CronError, match=says):
        CronRunner(**callbacks | wrong)
