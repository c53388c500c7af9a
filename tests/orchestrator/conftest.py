"""A tiny service, run by ``python -m orchestrator`` as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

REPOSITORY = Path(__file__).parents[2]

SOURCE = """
import logging
import os

import anyio
from dependency_injector import providers

from orchestrator import Container, Managed, Service
from orchestrator.contracts import Module, PermanentFailure, PreflightSpec, WorkerSpec


def note(text):
    os.write(int(os.environ["TINY_NOTES"]), f"{text}\\n".encode())


async def act(what):
    if what == "hang":
        await anyio.sleep_forever()
    elif what == "block":
        while True:
            pass
    elif what == "slow":
        await anyio.sleep(0.5)
    elif what == "refuse":
        raise PermanentFailure("the token was revoked")
    elif what == "unreachable":
        raise ConnectionRefusedError("nobody listens")
    elif what == "warn":
        for _ in range(3):
            logging.getLogger("tiny").warning("the shop is far away")
    elif what == "stubborn":
        with anyio.CancelScope(shield=True):
            await anyio.sleep_forever()


class Says:
    def __init__(self, spec):
        self.spec = spec

    def task_spec(self):
        return self.spec


class Part:
    async def __aenter__(self):
        note("open")
        await act(os.environ.get("TINY_OPEN"))
        return self

    async def __aexit__(self, *exc_info):
        note("close")


class Shops(Module):
    name = "shops"

    def __init__(self, part):
        self.part = part

    def tenants(self):
        return ["acme/shop", "acme/till"]

    def preflights(self):
        return [Says(PreflightSpec("reachable", self.check))]

    def workers(self):
        return [Says(WorkerSpec("poll", 3600, self.work))]

    async def check(self, tenant):
        note(f"check {tenant}")
        if tenant == "acme/shop":
            await act(os.environ.get("TINY_CHECK"))

    async def work(self, tenant):
        note(f"work {tenant}")
        await act(os.environ.get("TINY_WORK"))
        note(f"worked {tenant}")

    async def shutdown(self):
        note("shutdown")


class TinyContainer(Container):
    part = Managed(Part)
    modules = providers.Dict(shops=providers.Singleton(Shops, part))


class Tiny(Service):
    name = "tiny"
    container = TinyContainer

    async def on_ready(self):
        note("ready")

    async def on_stop(self):
        note("on_stop")
"""


class Process:
    """The running service; *notes* are the lines that it writes about what it does, in order."""

    def __init__(self, process: "subprocess.Popen[str]", notes: IO[str]) -> None:
        self.process = process
        self.notes: list[str] = []
        self._reader = notes

    def until(self, note: str) -> None:
        """Wait for *note*; AssertionError when the process ends without it."""
        for line in self._reader:
            self.notes.append(line.strip())
            if self.notes[-1] == note:
                return
        raise AssertionError(f"ended without {note!r}: {self.notes}\n{self.process.communicate()[1]}")

    def signal(self, *numbers: int) -> None:
        """Send each of *numbers*."""
        for number in numbers:
            self.process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """Wait for the end: exit code, standard output, standard error."""
        out, err = self.process.communicate(timeout=60)
        self.notes += [line.strip() for line in self._reader]
        return self.process.returncode, out or "", err or ""


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts ``python -m orchestrator --service tiny:Tiny *words``; the others say how it behaves."""
    (tmp_path / "tiny.py").write_text(SOURCE)
    started: list[Process] = []

    def start(
        *words: str,
        opening: str = "",
        check: str = "",
        work: str = "",
        shutdown: float = 20.0,
        quarantine: bool = False,
        **streams: int,
    ) -> Process:
        lines = ["[orchestrator]", "splay = false", f"shutdown_timeout = {shutdown}"]
        lines += ['on_preflight_failure = "quarantine"'] if quarantine else []
        (tmp_path / "tiny.toml").write_text("\n".join(lines))
        reading, writing = os.pipe()
        ours = {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATOR_")}
        environment = {
            "PYTHONPATH": str(REPOSITORY),
            "TINY_OPEN": opening,
            "TINY_CHECK": check,
            "TINY_WORK": work,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", "--service", "tiny:Tiny", "--config", "tiny.toml", *words],
            cwd=tmp_path,
            env={**ours, **environment, "TINY_NOTES": str(writing)},
            pass_fds=[writing],
            text=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
        )
        os.close(writing)
        started.append(Process(process, os.fdopen(reading)))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()
        each._reader.close()
