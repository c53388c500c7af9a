"""What the pages on the inbox and docs/github.md say, held against the code."""

import ast
import inspect
import json
import os
import re
import sys
from pathlib import Path

import anyio
import pytest

from domain.github.settings import GithubSettings
from orchestrator.inbox import Handlers, Inbox, Poller, State
from orchestrator.settings import InboxSection
from orchestrator.sql import SqliteDatabase

ROOT = Path(__file__).parents[2]


def _page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def _programs(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)


INBOX, GITHUB = _page("inbox.md"), _page("github.md")
HANDLER, SUBMIT, SERVICE, PRODUCER, WORKER = _programs(INBOX)
(REPAIR,) = _programs(_page("inbox-operations.md"))
(SCHEDULE,) = _programs(_page("schedules.md"))
ELSEWHERE = "postgresql://shop@db.example/shop"

SETTINGS = dict(re.findall(r"^\| `([a-z]+\.[a-z_]+)` \| ([^|]+?) \|", GITHUB, flags=re.MULTILINE))


class Printer:
    """Prints receipt number 7."""

    async def print(self, order):
        return 7


@pytest.mark.anyio
async def test_the_shop_of_the_inbox_page_prints_its_receipt(tmp_path: Path) -> None:
    """Handler and submit, as they are printed."""
    async with SqliteDatabase.open(tmp_path / "shop.db") as database:
        inbox = Inbox.over(database)
        await inbox.migrate()
        await database.migrate("shop", ["CREATE TABLE shop_order (id INTEGER, paid INTEGER)"])
        names = {"printer": Printer(), "inbox": inbox, "database": database, "order": 1}

        exec(compile(HANDLER, "inbox.md", "exec"), names)
        submit = eval(compile(SUBMIT, "inbox.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        if inspect.isawaitable(submit):
            await submit
        await Poller(inbox, Handlers(names["send_receipt"])).poll()

        run = (await inbox.list()).runs[0]
    assert (run.state, json.loads(run.result or "null")) == (State.SUCCEEDED, {"receipt": 7})


@pytest.mark.anyio
async def test_the_producer_and_the_worker_of_the_inbox_page_meet(tmp_path: Path) -> None:
    """Two programs of ten lines, one database."""
    url = f"sqlite://{tmp_path}/shop.db"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    printer = "import anyio\nclass printer:\n    async def print(order): return 7\nprinter = printer\n"
    worker = printer + HANDLER + WORKER.replace(ELSEWHERE, url)

    async def produce() -> list[str]:
        done = await anyio.run_process([sys.executable, "-c", PRODUCER.replace(ELSEWHERE, url)], env=environment)
        return done.stdout.decode().split(maxsplit=1)

    run_id, first = await produce()
    again, second = await produce()
    async with await anyio.open_process([sys.executable, "-c", worker], env=environment) as process:
        with anyio.fail_after(60):
            async with Inbox.open(url) as inbox:
                while (await inbox.get(run_id)).state is not State.SUCCEEDED:  # noqa: ASYNC110 - of another process
                    await anyio.sleep(0.05)
            process.terminate()
            await process.wait()

    assert (first, again, second) == ("is new\n", run_id, "was there already\n")
    assert process.returncode == 0, "it did not end as a worker that stops"


@pytest.mark.slow
@pytest.mark.anyio
async def test_the_service_of_the_inbox_page_plans_and_runs_its_intents(tmp_path: Path) -> None:
    """As it is printed, below the handler of the page, in a folder of its own."""
    printer = "class printer:\n    async def print(order): return 7\n"
    (tmp_path / "shop.py").write_text(printer + HANDLER + SERVICE, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ORCHESTRATOR_SERVICE": "shop:Shop"}

    async def orchestrator(*words: str) -> str:
        command = [sys.executable, "-m", "orchestrator", *words]
        done = await anyio.run_process(command, cwd=tmp_path, env=environment)
        return done.stdout.decode()

    plan = await orchestrator("plan")
    await orchestrator("migrate")
    run_id = (await orchestrator("inbox", "submit", "shop.receipt.v1", '{"order": 7}')).strip()
    await orchestrator("run", "--once")
    shown = json.loads(await orchestrator("inbox", "show", run_id, "--json"))

    assert all(worker in plan for worker in ("inbox-migration", "inbox-poller", "inbox-ticker", "inbox-sampler"))
    assert (shown["state"], shown["result"]) == ("succeeded", {"receipt": 7})


@pytest.mark.anyio
async def test_the_schedule_of_its_page_can_be_made(tmp_path: Path) -> None:
    """Created, looked at, triggered and paused, as it is printed."""
    async with Inbox.open(f"sqlite://{tmp_path}/shop.db") as inbox:
        names = {"inbox": inbox}
        await eval(compile(SCHEDULE, "schedules.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)

        (schedule,) = (await inbox.schedules.list()).schedules
        (run,) = (await inbox.list()).runs

    assert (schedule.cron, schedule.timezone, schedule.enabled) == ("0 9 * * 1", "America/New_York", False)
    assert (run.type, run.priority) == ("report.daily.v1", 10)


@pytest.mark.anyio
async def test_the_repair_of_the_operations_page_brings_failed_runs_back(tmp_path: Path) -> None:
    """As a program of its own, beside whoever has the file open."""
    (tmp_path / "var").mkdir()

    async def work(run):
        raise PermissionError("no")

    async with Inbox.open(f"sqlite://{tmp_path}/var/sandbox.db", exclusive=True) as inbox:
        run_id = await inbox.submit("mail.v1", {"to": "ann"}, max_attempts=1)
        await Poller(inbox, Handlers().add("mail.v1", work)).poll()
        failed = (await inbox.get(run_id)).state
        ran = await anyio.run_process(
            [sys.executable, "-c", REPAIR], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
        )
        repaired = (await inbox.get(run_id)).state

    assert (failed, repaired, ran.stderr) == (State.FAILED, State.PENDING, b"")
    assert b"PermissionError: no" in ran.stdout


@pytest.mark.parametrize("field", sorted(SETTINGS))
def test_the_defaults_of_the_github_page_are_those_of_the_code(field: str) -> None:
    """A default is written once in the code, and once for people."""
    section, name = field.split(".")
    info = GithubSettings.model_fields[section].annotation.model_fields[name]  # type: ignore[union-attr] # a Section
    said = SETTINGS[field].replace("`", "").removesuffix(" s").split(":")[0] if "//" not in SETTINGS[field] else None

    if "required" in SETTINGS[field]:
        assert info.is_required() or info.default is None
    elif said is None:
        assert SETTINGS[field].strip("`") == info.default
    else:
        assert said.strip('"').lower() == str(info.default).lower().removesuffix(".0")


def test_the_defaults_of_the_inbox_page_are_those_of_the_code() -> None:
    """The three that are settings."""
    said = re.findall(r"^\| `\[inbox\] ([a-z_]+)` \| ([0-9.]+)", INBOX, flags=re.MULTILINE)

    assert {name: float(value) for name, value in said} == {
        name: float(info.default) for name, info in InboxSection.model_fields.items()
    }
