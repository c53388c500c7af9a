"""The circuits of the process by name, for those that build them and for those that operate them."""

from collections.abc import Hashable

from longrun.circuit.circuits import All, Circuits
from longrun.circuit.settings import Settings
from longrun.circuit.states import Step
from longrun.circuit.values import Statistics
from longrun.clock import now
from longrun.errors import PipelineError
from longrun.shared import shared


def circuits_of(name: str, settings: Settings) -> Circuits:
    """The circuits called *name*; PipelineError when they exist with other settings."""
    circuits = shared("circuit", name, settings, lambda: Circuits(name, settings))
    _directory()[name] = circuits
    return circuits


def names() -> tuple[str, ...]:
    """The names of all circuits of the process."""
    return tuple(sorted(_directory().copy()))


def statistics(name: str, *, key: Hashable = All.KEYS) -> Statistics:
    """The circuit *name* (and *key*, where there is one for each key) by value.

    PipelineError for a name or key that is not known, and for a keyed circuit without *key*: see :func:`overview`.
    """
    circuits = _known(name)
    if circuits.keyed and key is All.KEYS:
        raise PipelineError(f"circuit {name!r} has a state for each key; give key=, or read circuit.overview({name!r})")
    found = circuits.find(_checked(circuits, key))
    if found is None:
        raise PipelineError(f"circuit {name!r} has no state for key {key!r}: no call used it, or it was long ago")
    return found.statistics(now())


def overview(name: str | None = None) -> tuple[Statistics, ...]:
    """Every circuit of the process by value, or all those called *name*."""
    if name is not None:
        return _known(name).statistics()
    return tuple(found for each in names() for found in _known(each).statistics())


def force_open(name: str, *, key: Hashable = All.KEYS) -> None:
    """Refuse every call until :func:`reset`. Without *key*: for all keys, those to come included."""
    _order(name, "force_open", key)


def disable(name: str, *, key: Hashable = All.KEYS) -> None:
    """Let every call run and count none until :func:`reset`."""
    _order(name, "disable", key)


def metrics_only(name: str, *, key: Hashable = All.KEYS) -> None:
    """Let every call run and count all, but never open, until :func:`reset`: to try settings on live traffic."""
    _order(name, "metrics_only", key)


def reset(name: str, *, key: Hashable = All.KEYS) -> None:
    """Close the circuit and forget its counts; it works by itself again. What is still running no longer counts."""
    _order(name, "reset", key)


def _order(name: str, step: Step, key: Hashable) -> None:
    circuits = _known(name)
    circuits.order(step, _checked(circuits, key))


def _checked(circuits: Circuits, key: Hashable) -> Hashable:
    if circuits.keyed:
        try:
            hash(key)
        except TypeError:
            raise PipelineError(f"circuit {circuits.name!r}: {key!r} is no key that a call could have") from None
        return key
    if key is not All.KEYS:
        raise PipelineError(f"circuit {circuits.name!r} has no keys and was asked for key {key!r}; leave key out")
    return None


def _known(name: str) -> Circuits:
    circuits = _directory().get(name)
    if circuits is None:
        raise PipelineError(f"no circuit is called {name!r}; known are: {', '.join(names()) or 'none'}")
    return circuits


def _directory() -> dict[str, Circuits]:
    return shared("circuits", "by name", (), dict[str, Circuits])
