"""Fixtures of the circuit tests: no named state of one test reaches the next."""

from collections.abc import Iterator

import pytest

from longrun.testing import isolated


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """Every name is new."""
    with isolated():
        yield
