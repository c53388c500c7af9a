"""A bound logger keeps both its own fields and a line's."""

import logging

import pytest

from orchestrator.logs import BoundLogger


def test_a_lines_own_fields_stand_beside_the_bound_ones(caplog: pytest.LogCaptureFixture) -> None:
    """``extra=`` of a single call is not lost, and wins where both speak."""
    logger = BoundLogger(logging.getLogger("bound"), {"tenant": "acme/shop", "attempt": 1})

    with caplog.at_level(logging.INFO, "bound"):
        logger.info("issues.polled", extra={"fresh": 3, "attempt": 2})

    record = caplog.records[0]
    assert (record.tenant, record.fresh, record.attempt) == ("acme/shop", 3, 2)  # type: ignore[attr-defined]  # extras
