"""What all tests share: both backends, seeded and bounded property tests, and temporary files in memory."""

import gc
import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.postgres"]  # the fixtures postgres_url and postgres_server

gc.disable()  # until the tests are collected, see pytest_collection_finish: what is made of them is there to stay

settings.register_profile("loop", max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", max_examples=50, deadline=None)
settings.register_profile(
    "ci", max_examples=75, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.register_profile(
    "thorough", max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def _keep_temporary_files_in_memory() -> None:
    """Folders of tests and databases are made and synced thousands of times, and none is wanted after the run.

    ``$TMPDIR`` is the place when it is set, and the usual one where shared memory is small or runs no programs.
    """
    memory = Path("/dev/shm")
    if sys.platform != "linux" or "TMPDIR" in os.environ or not os.access(memory, os.W_OK | os.X_OK):
        return
    there = os.statvfs(memory)
    if there.f_bavail * there.f_frsize >= 2 << 30 and not there.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = str(memory)
        tempfile.tempdir = None  # it is asked for again


_keep_temporary_files_in_memory()


#: Folders whose tests mostly talk to a server, or to files through threads.
_SLOW = tuple(
    f"tests/{folder}"
    for folder in (
        "contracts",
        "acceptance",
        "soak",
        "orchestrator/inbox",
        "orchestrator/sql",
        "orchestrator/cli/inbox",
    )
)
#: Folders with the longest tests of all. They come first, so that nobody waits for one of them at the end of a run.
_LONGEST = ("tests/soak", "tests/typing", "tests/acceptance")
#: What stays in the quick loop of these folders.
_QUICK = ("inbox/worker", "test_inbox_machine", "test_inbox_values", "test_inbox_payloads")


def _is_slow(where: str) -> bool:
    """By its place alone; what is slow for another reason is marked."""
    return "postgres" in where or (where.startswith(_SLOW) and not any(part in where for part in _QUICK))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The quick loop does not even import what it leaves out altogether: each of its workers collects for itself."""
    if config.option.markexpr != "not slow" or collection_path.suffix != ".py":
        return None  # folders are looked through: a slow one may have a quick file
    where = collection_path.relative_to(config.rootpath).as_posix()
    return _is_slow(where) or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quick loop leaves everything that needs a server to the whole suite; the longest tests come first."""
    for item in items:
        if _is_slow(item.nodeid) or {"postgres_url", "postgres_server"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: not item.nodeid.startswith(_LONGEST))


def pytest_collection_finish() -> None:
    """Spare the collector the tests themselves: half a million objects, a quarter of a second for a full collection.

    And look less often than after each 700 objects: ten thousand calls at once took as long to look through as to make.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000)
    gc.enable()


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every async test runs on asyncio and on trio."""
    backend: str = request.param
    return backend
