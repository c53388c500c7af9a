"""A sliding window of counts in a fixed number of buckets: O(1) in time and memory, however many calls pass. Pure."""

#: The window slides in steps of a tenth of its length, so it covers between 90 % and 100 % of it.
BUCKETS = 10


class Window:
    """Calls, failures and slow calls of the last *length* seconds.

    A clock that goes backward adds to the newest bucket: nothing is counted twice, nothing is lost early.
    """

    __slots__ = ("_buckets", "_current", "_step", "_width", "calls", "failures", "length", "slow")

    def __init__(self, length: float) -> None:
        self.length = length
        self._width = length / BUCKETS
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.calls = self.failures = self.slow = 0
        self._buckets = [[0, 0, 0] for _ in range(BUCKETS)]
        self._current = self._buckets[0]
        self._step: float | None = None

    def add(self, now: float, failed: bool, slow: bool) -> None:
        """One call that ended at *now*."""
        step = now // self._width
        if step != self._step:
            self._slide(step)
        current = self._current
        current[0] += 1
        self.calls += 1
        if failed:
            current[1] += 1
            self.failures += 1
        if slow:
            current[2] += 1
            self.slow += 1

    def slide(self, now: float) -> None:
        """Drop what is older than the window at *now*."""
        self._slide(now // self._width)

    def _slide(self, step: float) -> None:
        if self._step is None:
            self._step = step
            self._current = self._buckets[int(step) % BUCKETS]
        elif step > self._step:
            passed = int(min(step - self._step, BUCKETS))
            last = int(step)
            for index in range(last - passed + 1, last + 1):
                bucket = self._buckets[index % BUCKETS]
                self.calls -= bucket[0]
                self.failures -= bucket[1]
                self.slow -= bucket[2]
                bucket[0] = bucket[1] = bucket[2] = 0
            self._current = self._buckets[last % BUCKETS]
            self._step = step
