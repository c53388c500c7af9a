"""From a ``Stall``, of a spec or of a handler, to the critic that watches the runs."""

from collections.abc import Sequence

from longrun import Critic, ExtendBy, ExtendOnce, Kill, Nudge, RunInfo
from longrun.critic.decision import NOTHING, Decision
from longrun.critic.escalators import Escalator, KillAfter
from orchestrator.contracts import stall as contract


def critic_of(stall: contract.Stall) -> Critic:
    """The critic that *stall* asks for. Specs have checked its numbers when they were made."""
    return Critic(
        _escalator(stall),
        expected=stall.expected,
        idle=stall.idle,
        backstop=stall.backstop,
        ceiling=stall.ceiling,
        tick=stall.tick,
    )


def _escalator(stall: contract.Stall) -> Escalator:
    if callable(stall.escalate):
        return _Asked(stall.escalate)
    if stall.escalate == "extend_once":
        assert stall.extend_by is not None, "Stall refuses extend_once without extend_by"
        return ExtendOnce(stall.extend_by)
    return KillAfter(1)


class _Asked:
    """A domain's own callable, with its verdict in longrun's words."""

    def __init__(self, escalate: contract.Escalate) -> None:
        self._escalate = escalate
        self._forget = getattr(escalate, "forget", None)
        self.__qualname__ = getattr(escalate, "__qualname__", None) or type(escalate).__qualname__

    async def __call__(self, info: RunInfo) -> Decision | None:
        return _decision(await self._escalate(info))

    def forget(self, run_id: str) -> None:
        """The run has ended: a domain's own escalator may keep things by run, too."""
        if callable(self._forget):
            self._forget(run_id)


def _decision(verdict: object) -> Decision:
    if verdict is None:
        return NOTHING
    if isinstance(verdict, contract.Nudge):
        return Nudge(verdict.message)
    if isinstance(verdict, contract.ExtendBy):
        return ExtendBy(verdict.seconds)
    if isinstance(verdict, contract.Kill):
        return Kill(verdict.reason)
    if isinstance(verdict, Sequence) and not isinstance(verdict, str | bytes):
        whole = NOTHING
        for part in verdict:
            whole |= _decision(part)
        return whole
    raise TypeError(f"it gave {verdict!r}; give a Nudge, an ExtendBy, a Kill, several of these, or None")
