"""The reference application as its operator meets it: processes, signals, trouble."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.acceptance.processes import REPOSITORIES, App, Forge

Start = Callable[..., App]

pytestmark = pytest.mark.slow


def test_check_names_the_missing_repository_and_calls_no_worker(start: Start, config: Path, forge: Forge) -> None:
    """One missing repository among five: exit 1, its name and the reason, no issue was asked for."""
    _replace(config, "harbour/docs", "harbour/gone")

    app = start(config, "check")

    assert app.end(15) == 1
    report = app.output()
    assert "preflight:repository-validator:harbour/gone" in report
    assert "404" in report
    assert not [seen for seen in forge.requests() if str(seen["path"]).endswith("/issues")]


def test_a_deleted_repository_among_five_stops_the_start(start: Start, config: Path, forge: Forge) -> None:
    """``run`` reports like ``check`` and never reaches phase 2."""
    _replace(config, "tidewater/queue", "tidewater/deleted")

    app = start(config, "run")

    assert app.end(15) == 1
    assert any("tidewater/deleted" in line for line in app.lines)
    assert not app.events("service.ready")


def test_every_issue_is_explained_once_through_limits_and_failures(start: Start, config: Path, forge: Forge) -> None:
    """A 429 with Retry-After and a burst of 5xx on the lists: waited out, then everything is done, once each."""
    forge.trouble(
        {"kind": "retry-after", "seconds": 1, "match": "per_page=50", "after": 3},
        {"kind": "bad-gateway", "match": "per_page=50", "after": 8},
        {"kind": "unavailable-seconds", "seconds": 1, "match": "per_page=50", "after": 9},
    )

    app = start(config, "run")
    app.until(lambda: forge.wanted(REPOSITORIES) <= set(forge.marked()), 60)
    forge.grow(5)
    app.until(lambda: forge.wanted(REPOSITORIES) <= set(forge.marked()), 60)
    app.signal(signal.SIGTERM)

    assert app.end() == 0
    assert set(forge.marked().values()) == {1}
    waits = app.events("retry.scheduled")
    assert any(line.get("hint") == 1 for line in waits)


def test_ctrl_c_drains_and_a_second_start_is_refused_meanwhile(start: Start, config: Path) -> None:
    """SIGINT: exit 0. While it runs, a second service on the same file exits 2 and names pid and path."""
    app = start(config, "run")
    app.until(lambda: bool(app.events("issue.explained")))

    second = start(config, "run")

    assert second.end(15) == 2
    said = "\n".join(second.lines)
    assert str(app.process.pid) in said
    assert "state.db" in said
    app.signal(signal.SIGINT)
    assert app.end() == 0
    assert not any("Traceback" in line for line in app.lines)


def test_ctrl_c_in_phase_one_is_a_cancellation(start: Start, config: Path, forge: Forge) -> None:
    """Cancelled before the preflights had passed: exit 3, no worker was called."""
    forge.trouble({"kind": "slow", "seconds": 30, "times": 0})
    app = start(config, "run")
    app.until(lambda: bool(forge.requests()))

    app.signal(signal.SIGINT)

    assert app.end(15) == 3
    assert not app.events("service.ready")


def test_a_term_signal_before_the_event_loop_is_a_cancellation_too(start: Start, config: Path) -> None:
    """While modules are still being imported: exit 3, no traceback."""
    app = start(config, "run")
    time.sleep(0.15)  # somewhere in the imports; wherever it lands, the answer is the same
    app.signal(signal.SIGTERM)

    assert app.end(15) in {3, -signal.SIGTERM}
    assert not any("Traceback" in line for line in app.lines)


@pytest.mark.timeout(300)
def test_killed_at_any_moment_nothing_is_lost_and_nothing_said_twice(
    start: Start, config: Path, forge: Forge, chance: Random
) -> None:
    """Twenty times SIGKILL at random moments: each issue is explained exactly once in the end."""
    for _ in range(20):
        app = start(config, "run")
        app.until(lambda app=app: bool(app.events("service.ready")))
        forge.grow(2)
        time.sleep(chance.uniform(0.0, 1.2))  # the random moment: this is what the test is about
        app.signal(signal.SIGKILL)
        app.end()

    app = start(config, "run")
    app.until(lambda: bool(app.events("service.ready")))
    app.until(lambda: forge.wanted(REPOSITORIES) <= set(forge.marked()), 90)
    app.signal(signal.SIGTERM)

    assert app.end() == 0
    marked = forge.marked()
    assert {issue: count for issue, count in marked.items() if count != 1} == {}
    assert forge.wanted(REPOSITORIES) <= set(marked)  # those that were closed meanwhile may carry one too


def test_the_embedded_default_shows_the_whole_line(start: Start, tmp_path: Path) -> None:
    """``run`` with the shipped sandbox file: preflights, a 429, intents, comments, a clean Ctrl-C."""
    shipped = (Path(__file__).parents[2] / "config" / "sandbox.toml").read_text(encoding="utf-8")
    config = tmp_path / "sandbox.toml"
    config.write_text(shipped + '\n[log]\nformat = "json"\n', encoding="utf-8")

    app = start(config, "run")
    app.until(lambda: len(app.events("issue.explained")) >= 9, 40)
    app.until(lambda: any(line.get("hint") == 3 for line in app.events("retry.scheduled")), 40)
    app.signal(signal.SIGINT)

    assert app.end() == 0
    assert app.events("service.ready")
    assert app.events("issues.relayed")


def _replace(config: Path, old: str, new: str) -> None:
    text = config.read_text(encoding="utf-8")
    assert json.dumps(old) in text
    config.write_text(text.replace(json.dumps(old), json.dumps(new)), encoding="utf-8")
