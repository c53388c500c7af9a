"""The same error again and again is one line, and then a count."""

import logging
from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.logs import Folding


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def record(message: str = "no route to %s", *args: object, level: int = logging.ERROR, **extra: object):
    made = logging.LogRecord("app", level, "x.py", 1, message, args, None)
    vars(made).update(extra)
    return made


def told(records: object) -> list[tuple[str, object]]:
    return [(each.getMessage(), getattr(each, "repeated", None)) for each in records]


def test_repetitions_within_the_window_are_one_line_and_a_count():
    """The count carries the last one's arguments; after it a new window begins."""
    clock = Clock()
    folding = Folding(60.0, clock)

    first = told(folding.pass_on(record("no route to %s", "a", tenant="t")))
    clock.now = 30.0
    second = told(folding.pass_on(record("no route to %s", "b", tenant="t")))
    clock.now = 60.0
    third = told(folding.pass_on(record("no route to %s", "c", tenant="t")))

    assert first == [("no route to a", None)]
    assert second == []
    assert third == [("no route to b", 1), ("no route to c", None)]


def test_tenants_resources_templates_and_kinds_of_error_are_told_apart():
    """Folding never hides that a second tenant fails."""
    folding = Folding(60.0, Clock())
    refused = record(tenant="a")
    refused.exc_info = (ConnectionRefusedError, ConnectionRefusedError(), None)
    different = [record(tenant="a"), record(tenant="b"), record(tenant="a", resource="x"), record("other"), refused]

    passed = [each for one in different for each in folding.pass_on(one)]

    assert passed == different


def test_information_is_never_folded():
    """Only warnings and errors repeat for want of a remedy."""
    folding = Folding(60.0, Clock())

    passed = [each for _ in range(3) for each in folding.pass_on(record(level=logging.INFO))]

    assert len(passed) == 3


def test_any_later_record_lets_the_due_counts_out():
    """And drain lets out the rest."""
    clock = Clock()
    folding = Folding(60.0, clock)
    for _ in range(3):
        list(folding.pass_on(record("a")))
    clock.now = 50.0
    for _ in range(2):
        list(folding.pass_on(record("b")))
    clock.now = 61.0

    later = told(folding.pass_on(record("calm", level=logging.INFO)))

    assert later == [("a", 2), ("calm", None)]
    assert told(folding.drain()) == [("b", 1)]
    assert told(folding.drain()) == []


def test_a_window_of_zero_writes_everything():
    """For a machine that counts itself."""
    folding = Folding(0.0, Clock())

    assert len([each for _ in range(3) for each in folding.pass_on(record())]) == 3


def test_the_count_has_no_traceback():
    """It was told once."""
    folding = Folding(60.0, Clock())
    for _ in range(2):
        failed = record()
        failed.exc_info = (ValueError, ValueError("x"), None)
        list(folding.pass_on(failed))

    (summary,) = folding.drain()

    assert summary.exc_info is None
    assert failed.exc_info is not None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 100))), st.floats(0, 120))
def test_every_record_is_told_or_counted(events: list[tuple[str, float]], window: float):
    """Nothing is lost, and within a window nothing is told twice."""
    clock = Clock()
    folding = Folding(window, clock)
    accounted: Counter[str] = Counter()
    written = []
    for message, pause in events:
        clock.now += pause
        written.extend((clock.now, each) for each in folding.pass_on(record(message)))
    written.extend((clock.now, each) for each in folding.drain())

    for _, each in written:
        accounted[each.getMessage()] += getattr(each, "repeated", None) or 1

    assert accounted == Counter(message for message, _ in events)
    for message in "abc":
        times = [now for now, each in written if each.msg == message and not hasattr(each, "repeated")]
        assert all(later - earlier >= window for earlier, later in pairwise(times))


def test_the_memory_is_bounded():
    """Endless new templates cannot fill it; the oldest episode is closed, its count told."""
    folding = Folding(60.0, Clock())
    for _ in range(2):
        list(folding.pass_on(record("first")))

    passed = [told(folding.pass_on(record(f"unique {number}"))) for number in range(16_384)]

    assert passed[-1] == [("unique 16383", None), ("first", 1)]
