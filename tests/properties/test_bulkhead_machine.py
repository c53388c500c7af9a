"""Slots against an independent model: for any row of steps no slot is lost or invented, and order is kept."""

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from longrun.bulkhead.settings import Settings
from longrun.bulkhead.slots import Slots, Statistics
from longrun.waiter import TRANSITIONS, Phase


class Caller:
    """A waiter that writes down its phases, and refuses a step that the table does not have."""

    def __init__(self) -> None:
        self._phase: Phase = "waiting"

    @property
    def phase(self) -> Phase:
        return self._phase

    @phase.setter
    def phase(self, phase: Phase) -> None:
        assert phase == self._phase == "left" or phase in TRANSITIONS[self._phase]
        self._phase = phase


class SlotsMachine(RuleBasedStateMachine):
    """The model is two lists: who holds a slot, and who waits, first come first."""

    waiters = Bundle("waiters")

    def __init__(self) -> None:
        super().__init__()
        self.limit, self.queue = 2, 3
        self.slots: Slots[Caller] = Slots(Settings(self.limit, self.queue))
        self.running = 0
        self.entered = 0  # those of the running that never waited
        self.line: list[Caller] = []

    @rule()
    def enter(self) -> None:
        """A call with a free slot holds it; it ends by a step of its own."""
        entered = self.slots.enter()

        assert entered == (self.running < self.limit)
        self.running += entered
        self.entered += entered

    @rule(target=waiters)
    def join(self) -> object:
        """A call that found no slot joins; meanwhile there may be one."""
        caller = Caller()

        answer = self.slots.join(caller)

        if self.running < self.limit:
            assert answer == "admitted"
            self.running += 1
            return caller
        if len(self.line) == self.queue:
            assert answer == "full"
            assert self.slots.withdraw(caller) is None  # it never stood in the queue, and wakes nobody
            return multiple()
        assert answer == "queued"
        self.line.append(caller)
        return caller

    @rule()
    def leave(self) -> None:
        """A call that never waited ends, whatever way: the first of the line has its slot."""
        if not self.entered:
            return

        following = self.slots.leave()

        self.entered -= 1
        self._given_back(following)

    @rule(caller=consumes(waiters))
    def withdraw(self, caller: Caller) -> None:
        """A waiter is cancelled, before or after the slot came; doing it twice is doing it once."""
        phase = caller.phase

        following = self.slots.withdraw(caller)

        if phase == "admitted":
            self._given_back(following)
        else:
            assert following is None
            self.line = [other for other in self.line if other is not caller]
        assert self.slots.withdraw(caller) is None

    @rule(limit=st.integers(1, 5))
    def resize(self, limit: int) -> None:
        """More slots let the line move up; fewer leave the running ones alone."""
        self.limit = limit

        admitted = self.slots.resize(limit)

        free = max(0, min(limit - self.running, len(self.line)))
        assert admitted == self.line[:free]
        del self.line[:free]
        self.running += free

    def _given_back(self, following: Caller | None) -> None:
        if self.line and self.running <= self.limit:
            assert following is self.line.pop(0)
            assert following.phase == "admitted"
        else:
            assert following is None
            self.running -= 1

    @invariant()
    def counts_are_those_of_the_model(self) -> None:
        """By value, and nobody waits beside a free slot."""
        assert self.slots.statistics() == Statistics(self.limit, self.queue, self.running, len(self.line))
        assert not self.line or self.running >= self.limit
        assert all(caller.phase == "waiting" for caller in self.line)


TestSlots = SlotsMachine.TestCase


def test_slots_print_their_counts() -> None:
    """What an operator reads in a debugger."""
    slots: Slots[Caller] = Slots(Settings(1, 3))
    slots.enter()
    slots.join(Caller())
    slots.join(Caller())

    assert repr(slots) == "<Slots: 1 of 1 running, 2 of 3 queued>"


def test_a_place_that_was_left_has_no_way_back() -> None:
    """The table is total, and ends."""
    assert set(TRANSITIONS) == {"waiting", "admitted", "left"}
    assert TRANSITIONS["left"] == frozenset()
    assert "waiting" not in frozenset().union(*TRANSITIONS.values())
