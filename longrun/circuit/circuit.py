"""Circuit: the state machine. It waits for nothing and reads no clock: *now* comes in as an argument."""

from collections.abc import Hashable
from random import Random
from threading import Lock

from longrun.circuit.settings import Settings
from longrun.circuit.states import FREE, State, Step, follow
from longrun.circuit.tally import tally_for
from longrun.circuit.values import Answer, Change, Statistics

#: A ramp begins with every tenth call.
FIRST_SHARE = 0.1

#: Whoever waits exactly as long as it was told must find the circuit due: sums of floats may miss by less than this.
ROUNDING = 1e-6


class Circuit:
    """One circuit, shared by every call that names it, from any thread.

    A call is let in (:attr:`free`, or else :meth:`admit`) and afterwards either reports how it ended or is released.
    Each transition begins a new generation; what calls of an older one report changes nothing.
    """

    __slots__ = (
        "_credit", "_in_flight", "_last_probe", "_lock", "_open_time", "_open_times", "_openings", "_ramp_from",
        "_reason", "_rejected", "_rng", "_settings", "_since", "_successes", "_tally", "free", "generation", "key",
        "name", "state",
    )  # fmt: skip

    _in_flight: int
    _successes: int
    _last_probe: float
    _ramp_from: float | None
    _credit: float

    def __init__(
        self, name: str, settings: Settings, now: float, key: Hashable = None, rng: Random | None = None
    ) -> None:
        self.name = name
        self.key = key
        self.state: State = "closed"
        self.generation = 1
        #: The generation of a call that need not ask to be let in; 0 when it must.
        self.free = 1
        self._settings = settings
        self._lock = Lock()
        self._rng = rng or Random()
        self._tally = tally_for(settings)
        self._open_times = settings.open_times()
        self._open_time = 0.0
        self._openings = 0
        self._rejected = 0
        self._since = now
        self._reason = "new"
        self._begin_round()

    def admit(self, now: float) -> Answer:
        """Whether a call may run now. One that may holds a place among the probes until it reports or is released."""
        with self._lock:
            answer = self._decide(now)
            self._rejected += not answer.generation
            return answer

    def report(self, generation: int, now: float, failed: bool, slow: bool) -> Change | None:
        """A call let in under *generation* ended at *now*; the transition it brought about, if any."""
        with self._lock:
            if generation != self.generation:
                return None
            if self.state == "closed":
                return self._move("trip", now, self._tally.reason()) if self._tally.add(now, failed, slow) else None
            if self.state == "half_open":
                return self._judge_recovery(now, failed, slow)
            if self.state == "metrics_only":
                self._tally.add(now, failed, slow)
            return None

    def release(self, generation: int) -> None:
        """A call let in under *generation* ended and says nothing: cancelled, or with an error that is ignored."""
        with self._lock:
            if generation == self.generation:
                self._in_flight = max(0, self._in_flight - 1)

    def order(self, step: Step, now: float) -> Change | None:
        """An operator's *step*. A reset of a closed circuit forgets its counts and is no transition."""
        with self._lock:
            before = self.state
            change = self._move(step, now, f"{step} by an operator")
            return change if change.after != before else None

    def statistics(self, now: float) -> Statistics:
        """The circuit by value."""
        with self._lock:
            self._tally.slide(now)
            return Statistics(
                name=self.name,
                key=self.key,
                state=self.state,
                reason=self._reason,
                seconds=max(0.0, now - self._since),
                retry_after=self._left(now) if self.state == "open" else None,
                calls=self._tally.calls,
                failures=self._tally.failures,
                slow=self._tally.slow,
                rejected=self._rejected,
                probing=self._in_flight,
                successes=self._successes,
                openings=self._openings,
            )

    @property
    def reason(self) -> str:
        """Why the circuit is in its state, in words."""
        return self._reason

    def _decide(self, now: float) -> Answer:
        change = None
        if self.state == "open":
            left = self._left(now)
            if left > ROUNDING:
                return Answer(0, left)
            change = self._move("cool", now, f"{self._open_time:.3g} s have passed")
        if self.state == "half_open":
            return self._decide_probe(now, change)
        return Answer(0 if self.state == "forced_open" else self.generation)

    def _decide_probe(self, now: float, change: Change | None) -> Answer:
        if self._ramp_from is not None:
            return self._decide_ramp(now, self._ramp_from)
        wanted = min(self._settings.probes, self._settings.successes - self._successes)
        # A probe that has been silent for a whole open time gives its place to another: a call that never comes back
        # must not keep the circuit from closing. Should it come back after all, it still counts.
        if self._in_flight >= wanted and 0 <= now - self._last_probe < self._open_time:
            return Answer(0, 0.0)
        self._in_flight += 1
        self._last_probe = now
        return Answer(self.generation, change=change)

    def _decide_ramp(self, now: float, ramp_from: float) -> Answer:
        ramp = self._settings.ramp or 0.0
        passed = now - ramp_from
        if passed >= ramp:
            change = self._move("recover", now, f"went well for {ramp:g} s of ramp")
            return Answer(self.generation, change=change)
        self._credit += max(FIRST_SHARE, passed / ramp)
        if self._credit < 1:
            return Answer(0, 0.0)
        self._credit -= 1
        return Answer(self.generation)

    def _judge_recovery(self, now: float, failed: bool, slow: bool) -> Change | None:
        if self._ramp_from is not None:
            bad = self._tally.add(now, failed, slow)
            return self._move("relapse", now, f"{self._tally.reason()} on the ramp") if bad else None
        self._in_flight = max(0, self._in_flight - 1)
        if failed or slow:
            return self._move("relapse", now, "a probe failed" if failed else "a probe was slow")
        self._successes += 1
        if self._successes < self._settings.successes:
            return None
        if self._settings.ramp is None:
            return self._move("recover", now, f"{_many(self._successes)} succeeded")
        self._ramp_from = now
        self._in_flight = 0
        self._reason = f"{_many(self._successes)} succeeded, a growing share of the calls follows"
        return None

    def _move(self, step: Step, now: float, reason: str) -> Change:
        before, after = self.state, follow(self.state, step)
        assert after is not None, f"no step {step} from {before}"
        self.state = after
        self.generation += 1
        self.free = self.generation if after in FREE else 0
        self._since = now
        self._reason = reason
        self._tally.clear()
        self._begin_round()
        if after == "open":
            self._open_time = self._open_times(self._openings, self._open_time, self._rng)
            self._openings += 1
        elif after != "half_open":
            self._openings = 0
        return Change(before, after, reason, self.key, self._open_time if after == "open" else None)

    def _begin_round(self) -> None:
        self._in_flight = self._successes = 0
        self._last_probe = 0.0
        self._ramp_from = None
        self._credit = 1.0 - FIRST_SHARE  # the first call of a ramp is let in

    def _left(self, now: float) -> float:
        # A clock that went backward (another event loop's, in tests) must not lengthen the open time.
        self._since = min(self._since, now)
        return max(0.0, self._since + self._open_time - now)

    def __repr__(self) -> str:
        key = "" if self.key is None else f"[{self.key!r}]"
        return f"<Circuit {self.name}{key}: {self.state}, {self._reason}>"


def _many(probes: int) -> str:
    return "a probe" if probes == 1 else f"{probes} probes"
