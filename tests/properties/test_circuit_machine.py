"""The circuit against an independent model: any row of calls, waits, cancellations and orders."""

from random import Random
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from longrun.circuit.circuit import Circuit
from longrun.circuit.settings import Settings
from longrun.circuit.states import TRANSITIONS
from longrun.circuit.values import Change

WINDOW = 10.0


def settings(**keywords: Any) -> Settings:
    """Settings with exact open times."""
    defaults: dict[str, Any] = {
        "threshold": None, "failure_rate": 0.5, "minimum": 4, "window": WINDOW, "open_for": 8.0, "open_cap": 32.0,
        "growth": 2.0, "jitter": 0.0, "probes": 1, "successes": 1, "ramp": None, "slow_call": None, "slow_rate": 1.0,
        "max_keys": 1, "on": Exception, "key": None,
    }  # fmt: skip
    return Settings(**{**defaults, **keywords})


class CircuitMachine(RuleBasedStateMachine):
    """Calls are let in, end or vanish in any order; the model keeps lists of everything and counts them anew."""

    @initialize(
        threshold=st.none() | st.integers(1, 4),
        probes=st.integers(1, 3),
        more=st.integers(0, 2),
        rate=st.sampled_from([0.25, 0.5, 1.0]),
        slow=st.booleans(),
    )
    def begin(self, threshold: int | None, probes: int, more: int, rate: float, slow: bool) -> None:
        """A new circuit and an empty model."""
        self.settings = settings(
            threshold=threshold,
            failure_rate=rate,
            probes=probes,
            successes=probes + more,
            slow_call=1.0 if slow else None,
            slow_rate=0.5 if slow else 1.0,
        )
        self.now = 1000.0
        self.one = Circuit("upstream", self.settings, self.now, rng=Random(0))
        self.state = "closed"
        self.life = 0
        self.running: list[tuple[int, int]] = []  # (the machine's generation, the model's life) of calls in flight
        self.ended: list[tuple[float, bool, bool]] = []  # of this life
        self.opened_at = 0.0
        self.openings = 0
        self.probed_at: list[float] = []  # when the probes in flight were let in
        self.last_probe = 0.0
        self.good_probes = 0
        self.changes: list[Change] = []
        self.lives_told = 0

    def wait(self) -> float:
        """How long the model stays open this time."""
        return min(32.0, 8.0 * 2 ** (self.openings - 1))

    def turn(self, state: str) -> None:
        """The model goes to *state*."""
        if state == "open":
            self.opened_at = self.now
            self.openings += 1
        elif state != "half_open":
            self.openings = 0
        self.state = state
        self.life += 1
        self.ended = []
        self.probed_at = []
        self.good_probes = 0

    def heard(self, change: Change | None) -> None:
        """What the machine told."""
        if change is not None:
            self.changes.append(change)

    @rule(seconds=st.sampled_from([0.0, 1.0, 3.0, 8.0, 16.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        """Only time."""
        self.now += seconds

    @rule()
    def call(self) -> None:
        """A call wants to run."""
        generation = self.one.free
        if not generation:
            answer = self.one.admit(self.now)
            generation = answer.generation
            self.heard(answer.change)
            told = answer.retry_after
        if self.state == "open" and self.now >= self.opened_at + self.wait():
            self.turn("half_open")
        if self.state == "open":
            assert not generation
            assert told == self.opened_at + self.wait() - self.now
        elif self.state == "forced_open":
            assert not generation
            assert told is None
        elif self.state == "half_open":
            places = min(self.settings.probes, self.settings.successes - self.good_probes)
            silent = self.now - self.last_probe >= self.wait()
            if len(self.probed_at) < places or silent:
                assert generation
                self.probed_at.append(self.now)
                self.last_probe = self.now
            else:
                assert not generation
                assert told == 0.0
        else:
            assert generation
        if generation:
            self.running.append((generation, self.life))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), failed=st.booleans(), slow=st.booleans())
    def end(self, data: st.DataObject, failed: bool, slow: bool) -> None:
        """Any call in flight ends, however old it is."""
        generation, life = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        slow = slow and self.settings.slow_call is not None

        self.heard(self.one.report(generation, self.now, failed, slow))

        if life != self.life:
            return
        if self.state in ("closed", "metrics_only"):
            self.ended.append((self.now, failed, slow))
            if self.state == "closed" and self.too_bad():
                self.turn("open")
        elif self.state == "half_open":
            self.probed_at.pop()
            if failed or slow:
                self.turn("open")
            else:
                self.good_probes += 1
                if self.good_probes == self.settings.successes:
                    self.turn("closed")

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def vanish(self, data: st.DataObject) -> None:
        """Any call in flight is cancelled: it says nothing."""
        generation, life = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))

        self.one.release(generation)

        if life == self.life and self.state == "half_open":
            self.probed_at.pop()

    @rule(order=st.sampled_from(["force_open", "disable", "metrics_only", "reset", "reset", "reset"]))
    def order(self, order: Any) -> None:
        """An operator."""
        before = self.state
        change = self.one.order(order, self.now)

        self.turn({"force_open": "forced_open", "disable": "disabled", "reset": "closed"}.get(order, order))
        assert (change is not None) == (before != self.state)
        self.heard(change)

    def inside(self) -> list[tuple[float, bool, bool]]:
        """The calls of this life in the window, to the second."""
        return [call for call in self.ended if call[0] // 1.0 > self.now // 1.0 - WINDOW]

    def too_bad(self) -> bool:
        """Whether the calls of this life are enough to open, counted anew."""
        if self.settings.threshold is not None:
            last = self.ended[-self.settings.threshold :]
            return len(last) == self.settings.threshold and all(failed or slow for _, failed, slow in last)
        calls = self.inside()
        failures = sum(failed for _, failed, _ in calls)
        slow = sum(slow for _, _, slow in calls)
        return len(calls) >= self.settings.minimum and (
            failures / len(calls) >= self.settings.failure_rate
            or (self.settings.slow_call is not None and slow / len(calls) >= self.settings.slow_rate)
        )

    @invariant()
    def machine_and_model_agree(self) -> None:
        """State, counts, places, and a row of told changes that has no gap."""
        found = self.one.statistics(self.now)
        assert found.state == self.state
        assert found.openings == self.openings
        if self.state == "half_open":
            assert (found.probing, found.successes) == (len(self.probed_at), self.good_probes)
        if self.settings.threshold is None:
            calls = self.inside()
            assert found.calls == len(calls)
            assert found.failures == sum(failed for _, failed, _ in calls)
            assert found.slow == sum(slow for _, _, slow in calls)
        states = ["closed", *(change.after for change in self.changes)]
        assert [change.before for change in self.changes] == states[:-1]
        assert states[-1] == self.state
        for change in self.changes:
            assert (change.before, change.after) in {
                (before, after) for (before, _), after in TRANSITIONS.items()
            } or change.after in ("forced_open", "disabled", "metrics_only", "closed")

    @invariant()
    def a_circuit_that_is_due_lets_somebody_in(self) -> None:
        """No wedge: with no probe in flight, a half-open circuit has a place."""
        if self.state == "half_open":
            assert len(self.probed_at) == 0 or self.one.statistics(self.now).probing >= 1


TestCircuitMachine = CircuitMachine.TestCase
