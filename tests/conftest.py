"""What all tests share: both backends, and seeded, bounded property tests."""

import os

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.postgres"]  # the fixtures postgres_url and postgres_server

settings.register_profile("loop", max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", max_examples=50, deadline=None)
settings.register_profile(
    "thorough", max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every async test runs on asyncio and on trio."""
    backend: str = request.param
    return backend
