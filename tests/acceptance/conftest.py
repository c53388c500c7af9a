"""Fixtures: the forge, the configuration, and processes of the service."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.processes import REPOSITORIES, ROOT, App, Forge

FORGE = "domain.github.adapters.forge"


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    """A calm forge that outlives the service."""
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "domain.github.adapters.forge",
            "--token",
            "t0ken",
            "--state",
            str(tmp_path / "forge.json"),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            with closing(Forge(process.stdout.readline().strip())) as running:
                yield running
        finally:
            process.terminate()


@pytest.fixture
def config(tmp_path: Path, forge: Forge) -> Path:
    """A quick configuration of the service against the forge."""
    path = tmp_path / "github.toml"
    path.write_text(
        f"""
        [github]
        base_url = "{forge.url}"
        token = "t0ken"
        repositories = {json.dumps(REPOSITORIES)}
        required_label = "explain"
        min_interval = 0
        poll_interval = 0.2
        relay_interval = 0.1
        [inbox]
        lease = 2
        poll_interval = 0.2
        [state]
        url = "sqlite://state.db"
        [log]
        format = "json"
        """,
        encoding="utf-8",
    )
    return path


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., App]]:
    """Start a process of the service; what still runs at the end is killed."""
    started: list[App] = []

    def begin(config: Path, *arguments: str) -> App:
        app = App(tmp_path, config, *arguments)
        started.append(app)
        return app

    yield begin
    for app in started:
        if app.process.poll() is None:
            app.process.kill()
        app.end(10)
        app.close()


@pytest.fixture
def chance() -> random.Random:
    """Where random moments come from; printed on failure by its seed."""
    seed = int(os.environ.get("CRASH_SEED", "20261120"))
    return random.Random(seed)
