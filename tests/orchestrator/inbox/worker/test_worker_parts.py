"""The pure parts of the worker: how much it claims, how long it waits, what its limits say, how it finds handlers."""

import sys
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.contracts import Stall
from orchestrator.inbox import DuplicateHandler, Handlers, InvalidHandler, handler
from orchestrator.inbox.worker.admission import AHEAD, BATCH, MOST_AHEAD, wanted
from orchestrator.inbox.worker.backoff import Backoff
from orchestrator.inbox.worker.handlers import Handler
from orchestrator.inbox.worker.limits import Limit, Limits, Rate
from orchestrator.inbox.worker.payloads import reader
from orchestrator.inbox.worker.statistics import BUCKETS, Histogram


async def work(run):
    """A handler."""


@given(
    slots=st.integers(1, 1000),
    running=st.integers(0, 1000),
    waiting=st.integers(0, 500),
    pace=st.none() | st.floats(0, 100),
)
def test_a_claim_is_bounded_by_its_slots_and_by_what_quick_handlers_do_in_a_moment(slots, running, waiting, pace):
    """Never more than a batch; nothing ahead of slow handlers."""
    running = slots if waiting else min(running, slots)  # nothing waits beside a free slot
    free = slots - running - waiting

    limit = wanted(free=free, slots=slots, pace=pace)

    assert 0 <= limit <= BATCH
    if pace is None or pace * slots > AHEAD:
        assert limit <= max(0, free)
    assert not limit or limit + running + waiting <= slots + MOST_AHEAD


def test_a_database_in_trouble_is_left_alone_for_longer_and_longer():
    """Claims from one second to thirty, outcomes sooner; success forgets it."""
    backoff = Backoff(lambda: 0.5)

    waits = [round(backoff.failed(100.0), 3) for _ in range(8)]
    settles = backoff.settle_from - 100
    backoff.worked()

    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    assert round(settles, 3) == 4
    assert (backoff.failures, backoff.claim_from < 0, backoff.settle_from < 0) == (0, True, True)


@given(
    st.lists(
        st.tuples(st.sampled_from(["claim", "start", "end", "give back", "wait"]), st.integers(0, 5)),
        max_size=60,
    )
)
def test_limits_give_caps_that_hold_whatever_the_order_of_things(steps):
    """At most so many held; in no window more starts than the rate says, however late they start; nothing is lost."""
    limits = Limits(
        {"two": Limit(concurrency=2), "rated": Limit(rate=Rate(3, 30.0)), "both": Limit(1, rate=Rate(1, 5))}
    )
    waiting, running, starts, now = Counter(), Counter(), {"two": [], "rated": [], "both": []}, 0.0
    for what, number in steps:
        if what == "wait":
            now += number
        elif what == "claim":
            caps = limits.caps(now)
            taken = {kind: min(number, cap) for kind, cap in caps.items()}
            limits.claimed(taken, caps)
            waiting.update(taken)
            assert limits.next_at(now) > now or any(cap for cap in limits.caps(now).values())
        else:
            of = running if what == "end" else waiting
            for kind in [kind for kind in of if of[kind]][:number]:
                of[kind] -= 1
                if what == "start":
                    limits.started(kind, now)
                    starts[kind].append(now)
                    running[kind] += 1
                else:
                    limits.ended(kind, started=what == "end")
        held = waiting + running
        assert held["two"] <= 2
        assert held["both"] <= 1
    for kind, times, seconds in (("rated", 3, 30.0), ("both", 1, 5.0)):
        for first in starts[kind]:
            assert sum(first <= at < first + seconds for at in starts[kind]) <= times
    for of, started in ((running, True), (waiting, False)):
        for kind in of.elements():
            limits.ended(kind, started=started)
    assert [gauge.held for gauge in limits._gauges.values()] == [0, 0, 0]
    assert limits.caps(now + 31) == {"two": 2, "rated": 3, "both": 1}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"timeout": 0}, "timeout is 0"),
        ({"timeout": True}, "timeout is True"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"total": 1.5}, "total is 1.5"),
        ({"rate": 5}, "rate is 5"),
        ({"stall": 5}, "stall is 5"),
    ],
)
def test_a_handler_with_a_wrong_value_is_refused_by_name(wrong, said):
    """When it is made, with its type and the remedy."""
    with pytest.raises(InvalidHandler, match=rf"handler of 'mail.v1': {said}.*give"):
        Handler("mail.v1", work, **wrong)


@pytest.mark.parametrize("wrong", [(0, 1.0), (1.5, 1.0), (True, 1.0), (1, 0), (1, float("nan")), (1, "x")])
def test_a_rate_that_is_none_is_refused(wrong):
    """By the name of what is wrong."""
    with pytest.raises(InvalidHandler, match=r"Rate (times|seconds) is"):
        Rate(*wrong)


def test_a_type_finds_its_own_handler_before_that_of_the_longest_prefix():
    """And none is none."""
    own, near, far = (Handler(name, work, prefix=name.endswith(".")) for name in ("a.b.c.v1", "a.b.", "a."))
    handlers = Handlers(far, near, own)

    found = [handlers.find(kind) for kind in ("a.b.c.v1", "a.b.d.v1", "a.x.v1", "b.v1")]

    assert found == [own, near, far, None]
    assert (handlers.types, handlers.prefixes, len(handlers)) == (("a.b.c.v1",), ("a.", "a.b."), 3)
    with pytest.raises(DuplicateHandler):
        handlers.prefix("a.", print)
    with pytest.raises(InvalidHandler, match="a prefix cannot be limited"):
        Handler("a.", work, prefix=True, concurrency=1)


def test_a_decorated_handler_has_its_options():
    """All of them by keyword."""
    made = handler("mail.v1", timeout=5, stall=Stall(expected=2), concurrency=3, total=4, rate=Rate(1, 2))(work)

    assert (made.timeout, made.stall, made.limit) == (5, Stall(expected=2), Limit(3, 4, Rate(1, 2)))


def test_a_handler_that_cannot_be_called_with_a_run_is_refused_when_it_is_made():
    """Each run of the type would fail otherwise. What cannot be looked into is taken as it is."""

    async def none():
        """Of no run."""

    async def two(run, order):
        """Of more than a run."""

    async def more(run, order=None, *rest, **options):
        """What may be called with one."""

    for work, what in ((none, r"none\(\)"), (two, r"two\(run, order\)")):
        with pytest.raises(InvalidHandler, match=rf"handler of 'mail.v1': .*{what} cannot be called with a run alone"):
            handler("mail.v1")(work)
    for work in (more, print, lambda run: more(run), partial(two, order=1)):
        assert Handlers().add("mail.v1", work).types == ("mail.v1",)


def test_what_is_no_model_is_refused_when_the_poller_is_made():
    """Not at the first payload."""
    with pytest.raises(InvalidHandler, match=r"handler of 'mail.v1': payload is .*give a pydantic model"):
        reader(object(), "mail.v1")


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="pydantic reads that of the standard library from 3.12 on")
def test_a_typed_dict_that_cannot_be_checked_on_this_python_is_told_which_one_can():
    """Who gave a typed dict does not hear only that it takes one."""

    class Mail(TypedDict):
        to: str

    with pytest.raises(InvalidHandler, match=r"payload is .*Mail.*that of typing_extensions"):
        reader(Mail, "mail.v1")


def test_a_model_with_a_name_that_nobody_defines_is_refused_when_the_poller_is_made():
    """Each run of the type would fail otherwise."""

    @dataclass
    class Mail:
        to: "Adress"  # noqa: F821 - the mistake

    with pytest.raises(InvalidHandler, match=r"handler of 'mail.v1': payload is .*'Adress' is not defined\)"):
        reader(Mail, "mail.v1")


def test_a_histogram_counts_each_value_once():
    """In the first bucket whose bound is not below it."""
    histogram = Histogram()
    for value in (0, 0.001, 0.0011, 1e9):
        histogram.add(value)

    assert (histogram.buckets[0], histogram.buckets[1], histogram.buckets[-1]) == (2, 1, 1)
    assert (histogram.count, len(histogram.buckets)) == (4, len(BUCKETS) + 1)
