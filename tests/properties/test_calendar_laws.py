"""The calendar against a dictionary: whatever is put, moved and dropped, the right entries come out in order."""

import itertools
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from longrun.task.calendar import Calendar

RESOLUTION = 0.005


class Entry:
    def __init__(self, name: int) -> None:
        self.name = name
        self.tick = -1


class CalendarAgainstADictionary(RuleBasedStateMachine):
    """The model keeps each entry's due instant; due() must give exactly those whose instant has come."""

    entries = Bundle("entries")

    def __init__(self) -> None:
        super().__init__()
        self.calendar: Calendar[Entry] = Calendar(RESOLUTION)
        self.model: dict[Entry, float] = {}
        self.now = 0.0
        self.names = 0

    @rule(target=entries)
    def make(self) -> Entry:
        self.names += 1
        return Entry(self.names)

    @rule(entry=entries, ahead=st.floats(0, 10))
    def put(self, entry: Entry, ahead: float) -> None:
        self.calendar.put(entry, self.now + ahead)
        self.model[entry] = self.now + ahead

    @rule(entry=entries, points=st.integers(0, 50))
    def put_on_the_grid(self, entry: Entry, points: int) -> None:
        self.put(entry, points * 0.1)

    @rule(entry=entries)
    def drop(self, entry: Entry) -> None:
        self.calendar.drop(entry)
        self.model.pop(entry, None)

    @rule(ahead=st.one_of(st.floats(0, 3), st.integers(0, 20).map(lambda n: n * RESOLUTION)))
    def pass_time(self, ahead: float) -> None:
        self.now += ahead
        came = list(self.calendar.due(self.now))

        assert len(came) == len(set(came))
        dues = [self.model.pop(entry) for entry in came]
        assert all(due <= self.now + 1e-6 for due in dues)
        assert all(later >= earlier - RESOLUTION - 1e-6 for earlier, later in itertools.pairwise(dues))

    @rule()
    def wake_when_told(self) -> None:
        """Sleeping until next_due() brings out something, or proves that an entry was moved or dropped."""
        at = self.calendar.next_due()
        if at != math.inf:
            self.now = max(self.now, at)
            self.pass_time(0.0)

    @invariant()
    def nothing_due_is_overslept(self) -> None:
        """Who sleeps until next_due() is late for nobody by more than the resolution."""
        if self.model:
            assert self.calendar.next_due() <= min(self.model.values()) + RESOLUTION + 1e-6

    @invariant()
    def whatever_is_expected_is_on_the_calendar(self) -> None:
        assert all(entry.tick >= 0 for entry in self.model)


@pytest.mark.parametrize("tick", range(5))
def test_what_was_dropped_does_not_come_whatever_its_tick(tick: int) -> None:
    """The first ticks of a runner are ticks like others, and so is one that others share."""
    calendar: Calendar[Entry] = Calendar(RESOLUTION)
    dropped, kept = Entry(1), Entry(2)
    calendar.put(dropped, tick * RESOLUTION)
    calendar.put(kept, tick * RESOLUTION)

    calendar.drop(dropped)

    assert list(calendar.due(1.0)) == [kept]
    assert calendar.next_due() == math.inf


@pytest.mark.parametrize("tick", range(5))
def test_what_was_put_twice_into_one_tick_comes_once(tick: int) -> None:
    """Due is due."""
    calendar: Calendar[Entry] = Calendar(RESOLUTION)
    entry = Entry(1)
    calendar.put(entry, tick * RESOLUTION)
    calendar.put(entry, tick * RESOLUTION)

    assert list(calendar.due(1.0)) == [entry]


@given(st.integers(0, 10**6), st.floats(-1e-9, 1e-9))
@example(ticks=1, rounding=0.0)
@example(ticks=60, rounding=1e-9)
def test_an_entry_comes_in_its_very_tick_and_not_one_before(ticks: int, rounding: float) -> None:
    """Rounding of the instant, either way, makes it neither late nor early."""
    calendar: Calendar[Entry] = Calendar(RESOLUTION)
    entry = Entry(1)
    calendar.put(entry, ticks * RESOLUTION + rounding)

    early = list(calendar.due((ticks - 1) * RESOLUTION))
    told = calendar.next_due()

    assert (early, list(calendar.due(ticks * RESOLUTION - rounding))) == ([], [entry])
    assert told == ticks * RESOLUTION


TestCalendar = CalendarAgainstADictionary.TestCase
