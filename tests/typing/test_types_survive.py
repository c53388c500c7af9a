"""The types of longrun's API, as mypy --strict and pyright see them: what must pass passes, what must not does not."""

import inspect
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import longrun

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
REFUSED = HERE / "longrun_refused.py"
SOUND = [HERE / "longrun_calls.py", HERE / "longrun_options.py", HERE / "longrun_tasks.py"]

#: Kinds of errors for each line, counted from 1, of a file.
Errors = dict[Path, dict[int, set[str]]]

#: Seconds for a checker that has nothing in its cache, on a machine that is busy.
PATIENCE = 100


def mypy(*files: Path) -> Errors:
    """What mypy --strict says. Its cache is its own: a kept one would tell the errors of the last copy by its path."""
    cache = files[-1].parent / "cache"
    answer = _run("mypy", "--strict", "--output=json", f"--cache-dir={cache}", *map(str, files))
    found = [json.loads(line) for line in answer.stdout.splitlines() if line.startswith("{")]
    if answer.returncode not in (0, 1) or answer.stderr:
        pytest.fail(f"mypy could not be run:\n{answer.stdout}{answer.stderr}")
    return _by_line((ROOT / one["file"], one["line"], one["code"]) for one in found if one["severity"] == "error")


def pyright(*files: Path) -> Errors:
    """What pyright says; each file asks for its strict mode. Skipped where it was never set up and cannot be."""
    answer = _run("pyright", "--outputjson", *map(str, files))
    try:
        found = json.loads(answer.stdout)["generalDiagnostics"]
    except ValueError:
        pytest.skip(f"pyright could not be started; it fetches itself once, over the network: {answer.stderr[-300:]}")
    return _by_line(
        (Path(one["file"]), one["range"]["start"]["line"] + 1, one.get("rule", "syntax"))
        for one in found
        if one["severity"] == "error"
    )


def _run(checker: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", checker, *arguments],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(ROOT), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def _by_line(errors) -> Errors:  # type: ignore[no-untyped-def]
    found: Errors = defaultdict(lambda: defaultdict(set))
    for file, line, kind in errors:
        found[file.resolve()][line].add(kind)
    return found


def expected(text: str, checker: Callable[..., Errors]) -> dict[int, set[str]]:
    """The errors that *text* announces: pyright's kinds begin with ``report``."""
    lines: dict[int, set[str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        announced = re.search(r"  # E: (.+)$", line)
        kinds = {
            kind
            for kind in (announced.group(1).split() if announced else ())
            if kind.startswith("report") is (checker is pyright)
        }
        if kinds:
            lines[number] = kinds
    return lines


@pytest.mark.slow
@pytest.mark.parametrize("checker", [mypy, pyright])
def test_types_pass_every_option_and_what_is_wrong_is_found(checker: Callable[..., Errors], tmp_path: Path) -> None:
    """No error where there must be none, and just the errors that were announced where each line is wrong."""
    header, _, wrong = REFUSED.read_text(encoding="utf-8").partition("\n")
    assert header.startswith("# type: ignore")
    copy = tmp_path / "wrong.py"
    copy.write_text(f"\n{wrong}", encoding="utf-8")

    errors = checker(*SOUND, copy)

    assert {file.name: dict(errors[file]) for file in SOUND if errors[file]} == {}
    assert dict(errors[copy.resolve()]) == expected(f"\n{wrong}", checker)


def test_every_public_function_is_looked_at() -> None:
    """A new option, curve or preset must be looked at here too."""
    read = "".join(file.read_text(encoding="utf-8") for file in SOUND)
    public = {name: getattr(longrun, name) for name in longrun.__all__}
    functions = {f"longrun.{name}": one for name, one in public.items() if inspect.isfunction(one)}
    for name, module in public.items():
        if inspect.ismodule(module):
            functions |= {f"{name}.{word}": one for word, one in vars(module).items() if _public(one, module)}

    missed = [name for name in functions if not re.search(rf"(?<!\w){re.escape(name)}\(", read)]

    assert len(functions) > 30
    assert missed == []


def _public(one: object, module: ModuleType) -> bool:
    names = getattr(module, "__all__", None)
    if not inspect.isfunction(one) or one.__name__.startswith("_"):
        return False
    return one.__name__ in names if names is not None else one.__module__ == module.__name__
