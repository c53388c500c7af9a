"""What ``import longrun`` brings along."""

import subprocess
import sys

import pytest

UNWANTED = ("trio", "opentelemetry", "httpx", "pydantic", "dependency_injector", "orchestrator", "domain")


@pytest.mark.parametrize("module", ["longrun", "longrun.testing"])
def test_importing_longrun_brings_along_nothing_that_is_not_used(module: str) -> None:
    """anyio and the standard library; backends, clients and telemetry only where they are asked for."""
    code = f"import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert not set(result.stdout.split()) & set(UNWANTED)


def test_longrun_itself_does_not_import_ssl() -> None:
    """An error of TLS exists only where somebody else has imported ssl."""
    code = (
        "import anyio, sys; before = set(sys.modules); import longrun; "
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert "ssl" not in result.stdout.split()
    assert "longrun" in result.stdout.split()


@pytest.mark.parametrize("module", ["pipeline", "loop", "timed_loop", "clock", "circuit", "bulkhead", "ratelimit"])
def test_calls_import_no_event_loop(module: str) -> None:
    """asyncio takes as long as all the rest; who runs on it has it already."""
    code = f"import sys, longrun.{module}; print(*sorted(sys.modules))"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert not {"asyncio", "trio", "ssl"} & set(result.stdout.split())
