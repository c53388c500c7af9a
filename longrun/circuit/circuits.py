"""Circuits: all that exists under one name. One circuit, or one for each key within a bounded memory."""

from collections import OrderedDict
from collections.abc import Hashable
from enum import Enum
from threading import Lock
from typing import Protocol
from weakref import WeakSet

from longrun.circuit.circuit import Circuit
from longrun.circuit.events import event_of
from longrun.circuit.settings import Settings
from longrun.circuit.states import Step
from longrun.circuit.values import Change, Statistics
from longrun.clock import now
from longrun.events import Listener, emit
from longrun.option import Site


class All(Enum):
    """Stands for every key of a name."""

    KEYS = "all keys"


class Listening(Protocol):
    """A built breaker: it knows the listeners of its pipeline."""

    @property
    def site(self) -> Site: ...


class Circuits:
    """The circuits called *name*. Of keyed ones the *max_keys* used last are remembered, and what operators ordered."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settings = settings
        self._lock = Lock()
        self._by_key: OrderedDict[Hashable, Circuit] = OrderedDict()
        self._order: Step | None = None
        self._orders: dict[Hashable, Step] = {}
        self._listening: WeakSet[Listening] = WeakSet()
        if not self.keyed:
            self.of(None)  # it is there for operators before a call is

    @property
    def keyed(self) -> bool:
        """Whether there is a circuit for each key."""
        return self.settings.key is not None

    def of(self, key: Hashable) -> Circuit:
        """The circuit of *key*, made when it is first asked for; the one used longest ago makes room for it."""
        with self._lock:
            circuit = self._by_key.get(key)
            if circuit is None:
                circuit = self._by_key[key] = self._make(key)
                if len(self._by_key) > self.settings.max_keys:
                    self._by_key.popitem(last=False)
            else:
                self._by_key.move_to_end(key)
            return circuit

    def order(self, step: Step, key: Hashable) -> None:
        """An operator's *step* for *key*, or for all keys, those that come later included. Every listener is told."""
        with self._lock:
            if key is All.KEYS:
                self._orders.clear()
                self._order = None if step == "reset" else step
                circuits = list(self._by_key.values())
            else:
                self._remember(step, key)
                circuits = [self._by_key[key]] if key in self._by_key else []
            instant = now()
            changes = [circuit.order(step, instant) for circuit in circuits]
        for change in changes:
            if change is not None:
                self._tell(change)

    def find(self, key: Hashable) -> Circuit | None:
        """The circuit of *key* if there is one; looking at it is no use of it."""
        with self._lock:
            return self._by_key.get(key)

    def statistics(self) -> tuple[Statistics, ...]:
        """Every circuit by value."""
        with self._lock:
            circuits = list(self._by_key.values())
        instant = now()
        return tuple(circuit.statistics(instant) for circuit in circuits)

    def listen(self, breaker: Listening) -> None:
        """Tell the listeners of *breaker* what operators do, as long as its pipeline lives."""
        with self._lock:
            self._listening.add(breaker)

    def _remember(self, step: Step, key: Hashable) -> None:
        """What is ordered for a key outlives its circuit, unless it only says what holds anyway."""
        if step == "reset" and self._order is None:
            self._orders.pop(key, None)
        else:
            self._orders[key] = step

    def _make(self, key: Hashable) -> Circuit:
        circuit = Circuit(self.name, self.settings, now(), key)
        step = self._orders[key] if key in self._orders else self._order  # noqa: SIM401 - pyright reads get() as str
        if step is not None:
            circuit.order(step, now())
        return circuit

    def _tell(self, change: Change) -> None:
        # A listener of several pipelines hears of it once.
        with self._lock:
            sites = [breaker.site for breaker in self._listening]
        told: list[Listener] = []
        for site in sites:
            for listener in site.listeners:
                if not any(listener is other for other in told):
                    told.append(listener)
                    emit((listener,), event_of(change, site.name, self.name))
