"""A schedule that is being described: ``inbox.schedule("report.v1").cron("0 9 * * 1").create()``."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orchestrator.cron import Missed
from orchestrator.inbox.errors import InvalidSchedule

if TYPE_CHECKING:
    from orchestrator.inbox.schedules.schedules import Schedules  # which makes none of these


@dataclass(frozen=True, slots=True)
class ScheduleBuilder:
    """Says what a schedule shall be. Each call gives a new one; nothing is stored or checked before :meth:`create`."""

    _schedules: "Schedules" = field(repr=False)
    _type: str
    _payload: object = None
    _cron: str | None = None
    _tz: str = "UTC"
    _priority: int = 100
    _max_attempts: int = 3
    _misfire: Missed | str = "run_once"

    def cron(self, expression: str, tz: str = "UTC") -> "ScheduleBuilder":
        """Fires at the times of *expression* on the wall clock of the zone *tz*."""
        return replace(self, _cron=expression, _tz=tz)

    def priority(self, priority: int) -> "ScheduleBuilder":
        """The priority of its runs; lower runs first."""
        return replace(self, _priority=priority)

    def max_attempts(self, max_attempts: int) -> "ScheduleBuilder":
        """How many executions of each of its runs may fail."""
        return replace(self, _max_attempts=max_attempts)

    def misfire(self, policy: Missed | str) -> "ScheduleBuilder":
        """What becomes of fires that passed while nobody ticked: ``skip``, ``run_once`` or ``catch_up(n)``."""
        return replace(self, _misfire=policy)

    async def create(self) -> str:
        """Store it, switched on; its id. Raises InvalidSchedule, InvalidIntent, and SqlError."""
        if self._cron is None:
            raise InvalidSchedule(
                f"the schedule of {self._type!r} has no cron expression; say when it fires, for example "
                ".cron('0 9 * * 1', tz='Europe/Berlin')"
            )
        return await self._schedules.create(
            self._type,
            self._payload,
            cron=self._cron,
            tz=self._tz,
            priority=self._priority,
            max_attempts=self._max_attempts,
            misfire=self._misfire,
        )
