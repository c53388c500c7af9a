"""The limiter by itself: permits, windows and reports, with time and chance as arguments."""

import pytest

from longrun.shed.gradient import Estimate, Sample, revised, room
from longrun.shed.limiter import AdaptiveStatistics, Change
from tests.longrun.shed.calls import CRITICAL, WIDE, begin, made, never, window


def test_a_ticket_is_how_many_calls_run_and_each_rank_has_its_room() -> None:
    """Twelve, sixteen, eighteen and twenty of twenty; a permit that comes back is there for the next."""
    one = made()

    tickets = [[one.admit(0.0, rank) for _ in range(21)] for rank in range(4)]
    one.release(0.0, 20)

    assert [[ticket for ticket in row if ticket] for row in tickets] == [
        list(range(1, 13)), list(range(13, 17)), [17, 18], [19, 20],
    ]  # fmt: skip
    assert one.in_flight == 19
    assert [one.admit(0.0, 2), one.admit(0.0, CRITICAL), one.admit(0.0, CRITICAL)] == [0, 20, 0]


def test_a_new_limit_has_measured_nothing() -> None:
    """Zeroes where no latency is known."""
    assert made().statistics() == AdaptiveStatistics(20, 0, (12, 16, 18, 20), False, 0.0, 0.0)


def test_a_window_is_ten_calls() -> None:
    """Nine say nothing yet, however long they took."""
    one = made()
    tickets = begin(one, 0.0, 10)
    for ticket in tickets[:9]:
        one.finish(0.0, 4.0, ticket, never)
    before = one.statistics()

    one.finish(0.0, 9.0, tickets[9], never)

    assert (before.latency, before.baseline, before.in_flight) == (0.0, 0.0, 1)
    assert one.statistics() == AdaptiveStatistics(20, 0, (12, 16, 18, 20), False, 4.5, 4.5)


def test_a_window_lasts_a_second_or_the_latency_of_the_last() -> None:
    """Ten calls before that only wait for the eleventh; then it counts with them."""
    one, seen = made(), []
    for at, ends in ((0.0, 0.5), (0.5, 1.0), (1.0, 3.0), (1.5, 3.25), (1.5, 3.5)):
        tickets = begin(one, at, 10 if ends in (0.5, 3.0, 3.25) else 1)
        for ticket in tickets:
            one.finish(at, ends, ticket, never)
        seen.append(one.statistics().latency)

    # 11 x 0.5 s up to 1.0; 10 x 2 s up to 3.0, the next window ends 2 s later
    assert seen == [0.0, 0.5, 2.0, 2.0, 2.0]


def test_a_window_after_the_latency_has_passed_is_learned_from() -> None:
    """Two seconds of latency, two seconds of window."""
    one = made()
    window(one, 0.0, 2.0)
    early = begin(one, 2.0, 10)
    for ticket in early:
        one.finish(2.0, 3.9, ticket, never)
    before = one.statistics().latency

    (last,) = begin(one, 2.9, 1)
    one.finish(2.9, 4.0, last, never)

    assert before == 2.0
    assert one.statistics().latency == pytest.approx((10 * 1.9 + 1.1) / 11)


def test_what_a_window_saw_is_what_the_limit_is_revised_by() -> None:
    """Calls, mean latency, drops, and how many ran at once at most."""
    one = made()
    window(one, 0.0, 1.0)
    first = one.statistics()
    tickets = begin(one, 1.0, 18)
    for index, ticket in enumerate(reversed(tickets)):
        if index < 3:
            one.drop(1.0, 2.5, ticket, never)
        else:
            one.finish(1.0, 1.9 if index < 9 else 3.0, ticket, never)

    expected = revised(Estimate(20.0), Sample(10, 1.0, 0, 20), WIDE)
    assert (first.limit, first.baseline) == (20, 1.0)
    assert expected.limit == pytest.approx(20.8)
    # of the second window: 3 drops, 6 calls of 0.9 s and the one of 2 s that came at its end
    second = revised(expected, Sample(7, (6 * 0.9 + 2.0) / 7, 3, 18), WIDE)
    seen = one.statistics()
    assert seen.limit == int(second.limit)
    assert seen.baseline == pytest.approx(second.baseline)
    assert seen.latency == pytest.approx((6 * 0.9 + 2.0) / 7)


def test_calls_that_did_not_use_the_limit_leave_it_alone() -> None:
    """Nine of twenty at once: a baseline, and no growth."""
    one = made()
    for at in range(10):
        tickets = begin(one, float(at), 9)
        for ticket in tickets:
            one.finish(float(at), at + 1.0, ticket, never)
        one.finish(float(at), at + 1.0, begin(one, float(at), 1)[0], never)

    assert (one.statistics().limit, one.statistics().baseline) == (20, 1.0)
    assert not one.statistics().probing


def test_drops_alone_make_a_window_and_shrink_the_limit() -> None:
    """By a tenth, with no latency to tell."""
    one = made()
    tickets = begin(one, 0.0, 10)

    changes = [one.drop(0.0, 1.0, ticket, never) for ticket in tickets]

    assert changes == [None] * 9 + [Change(20, 18, 0.0, 0.0)]
    assert one.statistics() == AdaptiveStatistics(18, 0, room(18), False, 0.0, 0.0)


def test_drops_before_the_window_has_lasted_its_time_wait_for_it() -> None:
    """A burst of refusals within one second is one sign, not many."""
    one = made()
    tickets = begin(one, 0.0, 12)
    for ticket in tickets[:11]:
        one.drop(0.0, 0.5, ticket, never)
    before = one.statistics().limit

    one.drop(0.0, 1.0, tickets[11], never)

    assert (before, one.statistics().limit, one.in_flight) == (20, 18, 0)


def test_a_limit_of_few_calls_has_windows_of_few() -> None:
    """Three calls at a limit of three."""
    one = made(3)
    tickets = begin(one, 0.0, 3)

    for ticket in tickets:
        one.finish(0.0, 2.0, ticket, never)

    assert one.statistics().latency == 2.0


def test_a_cancelled_call_teaches_nothing() -> None:
    """Only its permit goes back."""
    one = made()
    before = one.statistics()

    for ticket in begin(one, 0.0, 20):
        one.release(0.0, ticket)

    assert one.statistics() == before


def test_a_clock_that_went_backward_gives_no_latency_below_zero() -> None:
    """Calls that ended before they began."""
    one = made()
    for at, ends in ((5.0, 1.0), (5.0, 1.0)):
        for ticket in begin(one, at, 10):
            one.finish(at, ends, ticket, never)

    assert (one.statistics().latency, one.statistics().baseline) == (0.0, 0.0)


def test_a_changed_limit_is_told_every_five_seconds_at_most() -> None:
    """As a whole number, from the last one told, with the latency and the baseline that are believed."""
    one = made()
    told = [window(one, 0.0, beside=10)]  # 20.8, which is 20 still

    for at in range(1, 8):
        changes = [one.drop(float(at), at + 1.0, ticket, never) for ticket in begin(one, float(at), 10)]
        told.append(changes[-1])

    # 18.7, 16.8, 15.2, 13.6, 12.3, 11.1, 9.9
    assert told == [None, Change(20, 18, 1.0, 1.0), None, None, None, None, Change(18, 11, 1.0, 1.0), None]
