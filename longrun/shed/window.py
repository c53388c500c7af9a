"""Window: how many of the latest calls went well, in slots of time. No clock: ``now`` comes in."""

from collections import deque
from threading import Lock


class Slot:
    """The calls that began in one slot of time."""

    __slots__ = ("bad", "forgotten", "good", "number", "overdue", "under_way")

    def __init__(self, number: int) -> None:
        self.number = number
        self.under_way = 0
        self.good = 0
        self.bad = 0
        #: Its calls under way count as bad.
        self.overdue = False
        #: It is older than the window: its calls count no more.
        self.forgotten = False


class Window:
    """Calls of the last *length* seconds, counted in the slot of time in which they began, and how many were good.

    A call is entered before it is sent. While it is under way it does not count for its first *grace* slots - a burst
    that has not been answered yet is no bad sign - and then it counts as bad until it ends: a service that hangs is
    seen before anything times out.

    Every operation is O(1), but for the first one of a slot. ``settle`` and ``cancel`` take the lock, the others want
    it held: they belong to a decision.
    """

    __slots__ = ("_grace", "_per_second", "_size", "_slots", "bad", "begins", "ends", "good", "lock", "newest")

    def __init__(self, length: float, slots: int, grace: int) -> None:
        self.lock = Lock()
        self._size = slots
        self._grace = grace
        self._per_second = slots / length
        self._slots: deque[Slot] = deque()
        #: Calls that count now.
        self.good = 0
        self.bad = 0
        self._open(0)

    def turn(self, now: float) -> None:
        """Go on to the slot of *now*; what is older than the window is forgotten. Due outside of begins..ends."""
        number = int(now * self._per_second)
        behind = number - self.newest.number
        if -self._size < behind <= 0:
            return  # at most the clock of another thread, read a moment earlier
        if behind < 0:
            oldest, matured = self.newest.number + 1, number  # a new clock, and the past is none of its own
        else:
            oldest, matured = number - self._size + 1, number - self._grace
        while self._slots and self._slots[0].number < oldest:
            self._forget(self._slots.popleft())
        for slot in self._slots:
            if slot.number > matured:
                break
            if not slot.overdue:
                slot.overdue = True
                self.bad += slot.under_way
        self._open(number)

    def begin(self) -> Slot:
        """Enter a call in the newest slot: its ticket, to be handed back with exactly one of the next two."""
        slot = self.newest
        slot.under_way += 1
        return slot

    def settle(self, slot: Slot, good: bool) -> None:
        """The call ended."""
        with self.lock:
            slot.under_way -= 1
            if slot.forgotten:
                return
            if slot.overdue:
                self.bad -= 1
            if good:
                slot.good += 1
                self.good += 1
            else:
                slot.bad += 1
                self.bad += 1

    def cancel(self, slot: Slot) -> None:
        """The call was cancelled: as if it had never been entered."""
        with self.lock:
            slot.under_way -= 1
            if slot.overdue and not slot.forgotten:
                self.bad -= 1

    def refuse(self) -> None:
        """Enter a call that was not sent, which is bad."""
        self.newest.bad += 1
        self.bad += 1

    def _open(self, number: int) -> None:
        self.newest = Slot(number)
        self._slots.append(self.newest)
        self.begins = number / self._per_second
        self.ends = (number + 1) / self._per_second

    def _forget(self, slot: Slot) -> None:
        slot.forgotten = True
        self.good -= slot.good
        self.bad -= slot.bad + (slot.under_way if slot.overdue else 0)
