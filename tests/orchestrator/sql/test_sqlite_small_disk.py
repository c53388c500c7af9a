"""A disk that is really full: a file system of one megabyte in a mount namespace of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")

REWRITING = """
import subprocess, sys
import anyio
from orchestrator.sql import DiskFull, SqliteDatabase

folder = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)

async def main():
    refused = 0
    async with SqliteDatabase.open(folder + "/state.db") as database:
        await database.migrate("things", ["CREATE TABLE thing (id INTEGER PRIMARY KEY, text TEXT)"])
        await database.transaction(lambda c: c.execute("INSERT INTO thing VALUES (1, ?)", ("-" * 3200,)))
    async with SqliteDatabase.open(folder + "/state.db") as database:  # closing has brought all pages into the file
        for number in range(600):
            text = f"{number:08d}" * 400
            for _ in range(2):
                try:
                    await database.transaction(lambda c: c.execute("UPDATE thing SET text = ?", (text,)))
                    break
                except DiskFull:
                    refused += 1
        stored = await database.read(lambda c: c.execute("SELECT text FROM thing").fetchone()[0])
    print(stored[:8], refused > 0)

anyio.run(main)
"""


def _may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*OWN_MOUNTS, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _may_mount(), reason="needs user namespaces, to mount a small file system")
def test_a_write_ahead_log_that_fills_the_disk_is_worked_off(tmp_path: Path) -> None:
    """One row rewritten 600 times is two megabytes of log and a few pages of data: the second attempt goes through."""
    ran = subprocess.run(
        [*OWN_MOUNTS, sys.executable, "-c", REWRITING, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ran.stdout, ran.returncode) == ("00000599 True\n", 0), ran.stderr
