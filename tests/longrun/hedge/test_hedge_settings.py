"""What hedge.after takes, what it refuses, and what it says of itself."""

from datetime import timedelta
from typing import Any

import pytest

import longrun
from longrun import Pipeline, PipelineError, hedge
from longrun.testing import Script, isolated


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "neither a delay nor a quantile"),
        ({"delay": 1, "quantile": 0.5}, "both a delay and a quantile"),
        ({"delay": -1}, "hedge.after delay is -1"),
        ({"delay": float("nan")}, "hedge.after delay is nan"),
        ({"delay": True}, "hedge.after delay is True"),
        ({"delay": "1"}, "hedge.after delay is '1'"),
        ({"quantile": 0}, "hedge.after quantile is 0"),
        ({"quantile": 1}, "hedge.after quantile is 1"),
        ({"quantile": 95}, "hedge.after quantile is 95"),
        ({"quantile": float("nan")}, "hedge.after quantile is nan"),
        ({"quantile": True}, "hedge.after quantile is True"),
        ({"delay": 1, "extra": 0}, "hedge.after extra is 0"),
        ({"delay": 1, "extra": 11}, "hedge.after extra is 11"),
        ({"delay": 1, "extra": 1.0}, "hedge.after extra is 1.0"),
        ({"delay": 1, "fatal": "x"}, "hedge.after fatal was given 'x'"),
        ({"delay": 1, "accept": 1}, "hedge.after accept is 1"),
        ({"delay": 1, "discard": "close"}, "hedge.after discard is 'close'"),
        ({"delay": 1, "grace": 0}, "hedge.after grace is 0"),
        ({"delay": 1, "grace": float("inf")}, "hedge.after grace is inf"),
        ({"delay": 1, "grace": None}, "hedge.after grace is None"),
        ({"quantile": 0.9, "name": ""}, "hedge name is ''"),
    ],
)
def test_nonsense_is_refused_by_name_and_value(settings: dict[str, Any], words: str) -> None:
    """The message says what is wrong with which value."""
    with pytest.raises(ValueError, match=words):
        hedge.after(**settings)


def test_a_delay_may_be_a_timedelta() -> None:
    """As every duration."""
    assert hedge.after(timedelta(milliseconds=200)).settings.delay == 0.2


def test_a_pipeline_says_what_it_hedges() -> None:
    """In words, before anything runs."""
    policy = Pipeline(hedge.after(0.2), hedge.after(quantile=0.95, extra=2), name="search")

    assert policy.describe().splitlines()[1:3] == [
        "  hedge after 0.2 s: one more copy",
        "  hedge after the 0.95 quantile of latencies: up to 2 more copies",
    ]


@pytest.mark.anyio
async def test_do_refuses_latencies_that_it_would_forget() -> None:
    """A quantile belongs to a pipeline or has a name; a delay needs neither."""
    with pytest.raises(PipelineError, match="keeps its state in the pipeline"):
        await longrun.do(Script("ok"), hedge.after(quantile=0.95))

    with isolated():
        assert await longrun.do(Script("ok"), hedge.after(quantile=0.95, name="search")) == "ok"
    assert await longrun.do(Script("ok"), hedge.after(1)) == "ok"


def test_one_name_is_one_quantile() -> None:
    """Two parts of a program cannot believe in two."""
    with isolated():
        hedge.after(quantile=0.95, name="search")

        with pytest.raises(PipelineError, match="'search' exists with other settings"):
            hedge.after(quantile=0.9, name="search")
