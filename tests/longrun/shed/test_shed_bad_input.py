"""Bad numbers for the shedding options are one clear error, before anything runs."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from longrun import Pipeline, PipelineError, shed


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: shed.adaptive(low=0), "shed.adaptive low is 0; give a whole number of at least 1"),
        (lambda: shed.adaptive(initial=2.5), "shed.adaptive initial is 2.5"),
        (lambda: shed.adaptive(high=True), "shed.adaptive high is True"),
        (lambda: shed.adaptive(initial=300), "initial is 300, low 1 and high 200; give low <= initial <= high"),
        (lambda: shed.adaptive(on="busy"), "shed.adaptive on is 'busy'; give Exception classes"),
        (lambda: shed.adaptive(on=()), r"shed.adaptive on is \(\)"),
        (lambda: shed.adaptive(on=KeyboardInterrupt), "cancellation is never counted"),
        (lambda: shed.throttle(k=1), "shed.throttle k is 1; give a finite number above 1"),
        (lambda: shed.throttle(k=float("nan")), "shed.throttle k is nan"),
        (lambda: shed.throttle(window=0), "shed.throttle window is 0; give seconds"),
        (lambda: shed.throttle(max_rejection=1.0), "max_rejection is 1.0; give a share above 0 and below 1"),
        (lambda: shed.throttle(minimum=0), "shed.throttle minimum is 0"),
        (lambda: shed.on_latency(-1), "shed.on_latency limit is -1; give seconds"),
        (lambda: shed.on_latency("1s"), "shed.on_latency limit is '1s'"),
        (lambda: shed.on_latency(1, quantile=90), "shed.on_latency quantile is 90; give a share"),
        (lambda: shed.on_latency(15), "shed.on_latency window is 10 s and its limit 15 s"),
    ],
)  # fmt: skip
def test_it_names_the_option_the_value_and_the_remedy(make: Callable[[], object], message: str) -> None:
    """A ValueError, as all errors of a pipeline that cannot work."""
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (shed.adaptive(name="x"), shed.adaptive(name="x", high=100)),
        (shed.throttle(name="x"), shed.throttle(name="x", k=1.5)),
        (shed.on_latency(1, name="x"), shed.on_latency(2, name="x")),
    ],
    ids=["adaptive", "throttle", "on_latency"],
)
def test_one_name_with_two_settings_is_refused_and_with_equal_ones_is_one_state(one, other) -> None:
    """Two parts of a program would believe in two limits."""
    Pipeline(one)

    with pytest.raises(PipelineError, match="exists with other settings"):
        Pipeline(other)
    assert one.statistics() == one.statistics()


def test_durations_may_be_timedeltas_and_equal_settings_share_a_name() -> None:
    """Ten seconds are ten seconds."""
    Pipeline(shed.on_latency(timedelta(seconds=1), window=timedelta(seconds=10), name="x"))
    Pipeline(shed.on_latency(1.0, name="x"))


def test_a_pipeline_says_in_words_how_it_sheds() -> None:
    """Before anything runs."""
    policy = Pipeline(shed.adaptive(), shed.throttle(name="api"), shed.on_latency(0.5))

    words = policy.describe()

    assert "shed.adaptive from 20 within 1..200" in words
    assert "shed.throttle 'api' with k=2 over 120 s" in words
    assert "shed.on_latency above 0.5 s at p90" in words
