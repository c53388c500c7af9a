"""bulkhead.max: so many calls at once, a few more in a queue, the rest refused at once.

Who may run: :mod:`longrun.bulkhead.slots`. How one waits: :mod:`longrun.waiter`. Around the call:
:mod:`longrun.bulkhead.admission`.
"""

from longrun.bulkhead.events import BulkheadRejected, BulkheadWaited
from longrun.bulkhead.option import BulkheadOption
from longrun.bulkhead.settings import Settings
from longrun.bulkhead.slots import Statistics

__all__ = ["BulkheadRejected", "BulkheadWaited", "Statistics", "max"]


def max(limit: int, *, queue: int = 0, name: str | None = None) -> BulkheadOption:  # noqa: A001 - read as bulkhead.max
    """Let at most *limit* calls run at once and *queue* more wait in order of arrival; refuse the others at once.

    A refused call never ran: :class:`longrun.BulkheadFull` says how many run and wait. A queued call waits until just
    before the nearest deadline and is then refused as well; time limits below the bulkhead begin when the call does.
    The same *name* with the same settings is one count in the process, over threads and event loops; without a name
    each pipeline counts its own. Raises PipelineError for a limit below 1 or a queue below 0.
    """
    return BulkheadOption(Settings(limit, queue), name)
