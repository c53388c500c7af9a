"""The README's examples, executed as they are written."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)


def _python(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def weather(tmp_path: Path) -> Path:
    """A folder with the README's service in it, and nothing else."""
    (tmp_path / "weather.py").write_text(BLOCKS[0], encoding="utf-8")
    return tmp_path


def test_the_service_is_as_short_as_the_readme_says() -> None:
    """Twenty-odd lines of code, blank ones not counted."""
    lines = [line for line in BLOCKS[0].splitlines() if line.strip()]

    assert len(lines) <= 25


@pytest.mark.slow
def test_the_service_plans_checks_and_runs(weather: Path) -> None:
    """All three commands of the README work on the service as printed."""
    plan = _python(weather, "-m", "orchestrator", "--service", "weather:Weather", "plan")
    check = _python(weather, "-m", "orchestrator", "--service", "weather:Weather", "check")
    run = _python(weather, "-m", "orchestrator", "--service", "weather:Weather", "run", "--for", "1")

    assert (plan.returncode, check.returncode, run.returncode) == (0, 0, 0), plan.stderr + check.stderr + run.stderr
    assert "thermometer" in plan.stdout
    assert "lima" in plan.stdout
    assert "preflights passed: 2 passed" in check.stdout
    assert "read the temperature" in run.stderr


def test_a_bad_tenant_of_the_service_stops_the_start(weather: Path) -> None:
    """The README's promise: any failing preflight stops the start, and says which and why."""
    source = (weather / "weather.py").read_text(encoding="utf-8").replace('"lima"', '"l1ma"')
    (weather / "weather.py").write_text(source, encoding="utf-8")

    run = _python(weather, "-m", "orchestrator", "--service", "weather:Weather", "run", "--for", "1")

    assert run.returncode == 1
    assert "preflight:known:l1ma" in run.stderr
    assert "is no city" in run.stderr
    assert "read the temperature" not in run.stderr


def test_the_intent_succeeds_and_is_listed(tmp_path: Path) -> None:
    """The second example is a whole program; the command below it finds the run, and a second start does nothing."""
    (tmp_path / "intent.py").write_text(BLOCKS[1], encoding="utf-8")

    first, second = (_python(tmp_path, "intent.py") for _ in range(2))
    listed = _python(tmp_path, "-m", "orchestrator", "inbox", "--url", "sqlite://shop.db", "list")

    assert (first.returncode, first.stdout, first.stderr) == (0, "succeeded\n", "")
    assert second.stdout == "succeeded\n"
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.count("shop.receipt.v1") == 1


def test_the_call_returns_what_the_readme_says(tmp_path: Path) -> None:
    """The third example is a whole program."""
    (tmp_path / "call.py").write_text(BLOCKS[2], encoding="utf-8")

    ran = _python(tmp_path, "call.py")

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "fetched\n", "")
