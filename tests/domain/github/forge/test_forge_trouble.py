"""The queue of trouble: what hits which request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.github.adapters.forge import Kind, Trouble
from domain.github.adapters.forge.trouble import TroubleQueue


def hits(queue, requests):
    """What hits each of *requests*, and the queue that is left."""
    found = []
    for request in requests:
        queue, trouble = queue.decide(request)
        found.append(None if trouble is None else trouble.kind)
    return found, queue


def test_a_trouble_hits_as_often_as_it_was_told_and_no_more():
    """Two times is two times."""
    queue = TroubleQueue().with_trouble(Trouble(Kind.BAD_GATEWAY, times=2))

    found, left = hits(queue, ["GET /a"] * 3)

    assert found == [Kind.BAD_GATEWAY, Kind.BAD_GATEWAY, None]
    assert left.pending == ()


def test_a_trouble_lets_so_many_matching_requests_pass_first():
    """Requests that it does not concern are not counted."""
    queue = TroubleQueue().with_trouble(Trouble(Kind.NOT_FOUND, match=r"^GET .*/issues\?", after=1))

    found, _ = hits(queue, ["GET /r/issues?page=1", "POST /r/issues?", "GET /r", "GET /r/issues?page=2"])

    assert found == [None, None, None, Kind.NOT_FOUND]


def test_troubles_hit_one_after_the_other():
    """One request is never hit twice."""
    queue = TroubleQueue().with_trouble(Trouble(Kind.BAD_GATEWAY), Trouble(Kind.UNAVAILABLE))

    found, _ = hits(queue, ["GET /a", "GET /a", "GET /a"])

    assert found == [Kind.BAD_GATEWAY, Kind.UNAVAILABLE, None]


def test_zero_times_means_every_request():
    """Until it is removed."""
    queue = TroubleQueue().with_trouble(Trouble(Kind.UNAUTHORIZED, times=0))

    found, left = hits(queue, ["GET /a"] * 20)

    assert found == [Kind.UNAUTHORIZED] * 20
    assert len(left.pending) == 1


@given(
    troubles=st.lists(st.builds(Trouble, st.sampled_from(Kind), st.integers(1, 4), after=st.integers(0, 5)), max_size=6)
)
def test_every_order_is_carried_out_in_full(troubles):
    """Given requests enough, each trouble hits exactly its times and the queue is empty."""
    enough = sum(trouble.times + trouble.after for trouble in troubles)

    found, left = hits(TroubleQueue(tuple(troubles)), ["GET /a"] * enough)

    assert sum(trouble.times for trouble in troubles) == sum(kind is not None for kind in found)
    assert left.pending == ()


@given(
    troubles=st.lists(st.builds(Trouble, st.sampled_from(Kind), match=st.sampled_from(["^GET", "^POST"])), max_size=6)
)
def test_a_request_that_nothing_concerns_changes_nothing(troubles):
    """Deciding is free of side effects."""
    queue = TroubleQueue(tuple(troubles))

    assert (queue, None) == queue.decide("DELETE /a")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"times": -1}, "times is -1"),
        ({"after": -2}, "after is -2"),
        ({"seconds": -0.5}, "seconds is -0.5"),
        ({"seconds": float("nan")}, "seconds is nan"),
        ({"skew": float("inf")}, "skew is inf"),
        ({"match": "("}, r"match is '\('"),
    ],
)
def test_a_trouble_with_a_wrong_field_is_refused_with_its_value(fields, message):
    """Before it is queued."""
    with pytest.raises(ValueError, match=message):
        Trouble(Kind.SLOW, **fields)
