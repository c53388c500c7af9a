"""The reference application and its forge as processes of their own."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
MARKER = "<!-- longrun:explained -->"
COMMAND = (sys.executable, "-m", "orchestrator", "--service", "domain.github:Github")
REPOSITORIES = [
    "harbour/harbour-api",
    "harbour/harbour-web",
    "harbour/docs",
    "tidewater/queue",
    "tidewater/metrics-agent",
]


class Forge:
    """The forge process, by its control addresses."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(
            base_url=url, timeout=10, trust_env=False, headers={"Authorization": "Bearer t0ken"}
        )

    def close(self) -> None:
        """Close the connection to it."""
        self._client.close()

    def comments(self) -> list[dict[str, object]]:
        """All comments, flat."""
        return list(self._client.get("/_forge/comments").json())

    def marked(self) -> dict[str, int]:
        """How many explaining comments each issue carries."""
        counts: dict[str, int] = {}
        for comment in self.comments():
            if MARKER in str(comment["body"]):
                key = f"{comment['repository']}#{comment['number']}"
                counts[key] = counts.get(key, 0) + 1
        return counts

    def grow(self, count: int = 1) -> None:
        """New and changed issues."""
        self._client.post("/_forge/grow", json={"count": count}).raise_for_status()

    def trouble(self, *orders: dict[str, object]) -> None:
        """Make trouble."""
        self._client.post("/_forge/trouble", json=list(orders)).raise_for_status()

    def requests(self) -> list[dict[str, object]]:
        """Every request that was seen."""
        return list(self._client.get("/_forge/log").json())

    def wanted(self, repositories: list[str]) -> set[str]:
        """Every open issue that carries the label and is no pull request."""
        wanted: set[str] = set()
        for repository in repositories:
            page, more = 1, True
            while more:
                answer = self._client.get(
                    f"/repos/{repository}/issues", params={"state": "open", "per_page": 100, "page": page}
                )
                for issue in answer.json():
                    labels = {label["name"] for label in issue["labels"]}
                    if "pull_request" not in issue and "explain" in labels:
                        wanted.add(f"{repository}#{issue['number']}")
                more = 'rel="next"' in answer.headers.get("link", "")
                page += 1
        return wanted


class App:
    """One process of the service; its log is kept line by line."""

    def __init__(self, folder: Path, config: Path, *arguments: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATOR_")}
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "orchestrator",
                "--service",
                "domain.github:Github",
                "--config",
                str(config),
                *arguments,
            ],
            cwd=folder,
            env={**environment, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def events(self, name: str) -> list[dict[str, object]]:
        """The log lines with this message so far."""
        return [line for line in map(_parsed, tuple(self.lines)) if line.get("message") == name]

    def until(self, seen: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait for what the test is about; fails with the log when it does not come."""
        deadline = time.monotonic() + seconds
        while not seen():
            if time.monotonic() > deadline or (self.process.poll() is not None and not seen()):
                pytest.fail(f"not seen; exit code {self.process.poll()}; log:\n" + "\n".join(self.lines[-40:]))
            time.sleep(0.02)  # another process is waited for, not time

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def end(self, seconds: float = 40.0) -> int:
        """Wait for the end; the exit code."""
        code = self.process.wait(seconds)
        self._reader.join(5)
        return code

    def close(self) -> None:
        """Close its pipes."""
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def output(self) -> str:
        """What went to standard output."""
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))


def _parsed(line: str) -> dict[str, object]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
