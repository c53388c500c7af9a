"""isolated: named state (breakers, budgets, ...) of one test does not reach the next."""

from collections.abc import Iterator
from contextlib import contextmanager

from longrun.pipeline import forget_ready
from longrun.shared import swap


@contextmanager
def isolated() -> Iterator[None]:
    """Inside, every name is new; afterwards what was there before is there again."""
    former = swap({})
    forget_ready()
    try:
        yield
    finally:
        swap(former)
        forget_ready()
