"""The command line as its users meet it: a process with streams, a folder and an environment."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow  # processes of their own

TINY = ("--service", "tiny:Tiny")

HEAVY = ("pydantic", "pydantic_settings", "dependency_injector", "httpx", "sqlalchemy", "rich", "anyio", "asyncio")


def error_of(result, code=2):
    """The one message of a refused command."""
    assert result.returncode == code, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("error: ")
    return result.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("plan", "--help")])
def test_help_and_version_import_nothing_heavy(orchestrator, arguments):
    """They are instant, because no command has been imported for real."""
    result = orchestrator(*arguments, python=("-X", "importtime"))

    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert result.returncode == 0
    assert "argparse" in imported
    assert imported.isdisjoint(HEAVY)


def test_help_names_every_command_and_every_exit_code(orchestrator):
    """One screen says what there is."""
    result = orchestrator("--help")

    assert all(f"    {command} " in result.stdout for command in ("run", "check", "plan", "config"))
    assert all(f"  {code} " in result.stdout for code in (0, 1, 2, 3, 4, 130))


def test_the_plan_shows_two_tenant_types_side_by_side(orchestrator):
    """Both are registered in the container and known to nothing else."""
    result = orchestrator(*TINY, "plan")

    assert result.stderr == ""
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "service tiny: 2 preflights, then 3 workers"
    assert [line.split()[:4] for line in lines[2:8]] == [
        ["PHASE", "RESOURCE", "TENANT", "MODULE"],
        ["preflight", "repository-validator", "acme/shop", "repositories"],
        ["preflight", "repository-validator", "acme/café", "repositories"],
        ["worker", "issue-poller", "acme/shop", "repositories"],
        ["worker", "issue-poller", "acme/café", "repositories"],
        ["worker", "member-poller", "acme", "organisations"],
    ]
    assert "preflight_deadline  300 s" in result.stdout


def test_the_plan_as_json(orchestrator):
    """Units, policies and deadlines in one object."""
    shown = json.loads(orchestrator("plan", "--json", *TINY).stdout)

    assert shown["service"] == "tiny"
    assert shown["units"][0]["id"] == "preflight:repository-validator:acme/shop"
    assert [module["name"] for module in shown["modules"]] == ["repositories", "organisations"]
    assert set(shown["policies"]) == {"preflight", "worker"}
    assert shown["deadlines"]["shutdown_timeout"] == 30


def test_planning_leaves_no_file_behind(orchestrator, folder):
    """It opens nothing."""
    before = {path.name for path in folder.iterdir()}

    orchestrator(*TINY, "plan")

    assert {path.name for path in folder.iterdir()} - {"__pycache__"} == before


@pytest.mark.parametrize(
    "arguments",
    [("--service", "tiny:Tiny", "plan"), ("plan", "--service", "tiny:Tiny"), ("plan", "--service=tiny:Tiny")],
)
def test_the_service_is_named_before_or_after_the_command(orchestrator, arguments):
    """Wherever it is typed."""
    assert orchestrator(*arguments).returncode == 0


def test_a_reader_that_leaves_early_is_no_error(folder, environment):
    """``plan | head -1`` is quiet on every stream."""
    (folder / "many.py").write_text(
        "import tiny\nfrom dependency_injector import providers\n"
        "class Many(tiny.Repositories):\n    def tenants(self): return [str(n) for n in range(20000)]\n"
        "class C(tiny.Container):\n    modules = providers.Dict(repositories=providers.Singleton(Many))\n"
        "class Service(tiny.Tiny):\n    container = C\n",
        encoding="utf-8",
    )
    script = f"set -o pipefail; {sys.executable} -m orchestrator --service many:Service plan | head -1; exit $?"

    result = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "service tiny: 20000 preflights, then 20000 workers\n"


def test_a_full_disk_is_one_message(orchestrator):
    """Standard output that cannot be written to is an error, not a traceback."""
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = orchestrator(*TINY, "plan", capture_output=False, stdout=full, stderr=subprocess.PIPE)

    assert result.returncode == 1
    assert result.stderr == "error: standard output cannot be written to: No space left on device\n"


@pytest.mark.parametrize(
    "env", [{"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, {"PYTHONIOENCODING": "ascii"}]
)
def test_a_terminal_that_knows_ascii_only_is_served(orchestrator, env):
    """What it cannot show is escaped."""
    result = orchestrator(*TINY, "plan", env=env)

    assert result.returncode == 0
    assert result.stderr == ""
    assert "acme/caf\\xe9" in result.stdout


def test_a_closed_output_is_no_traceback(folder, environment):
    """``plan >&-``."""
    script = f"{sys.executable} -m orchestrator --service tiny:Tiny plan >&-"

    result = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [(), ("fly",), ("plan", "--nope"), ("--serv", "tiny:Tiny", "plan")])
def test_wrong_usage_is_exit_code_two(orchestrator, arguments):
    """With the usage, and without a traceback."""
    result = orchestrator(*arguments)

    assert result.returncode == 2
    assert "usage: python -m orchestrator" in result.stderr


def test_no_service_is_one_error_that_names_all_three_ways(orchestrator):
    """Option, variable, file."""
    message = error_of(orchestrator("plan"))

    assert "--service" in message
    assert "ORCHESTRATOR_SERVICE" in message
    assert "[tool.orchestrator]" in message


def test_the_service_comes_from_the_environment_or_the_project(orchestrator, folder):
    """The variable beats the file."""
    (folder / "pyproject.toml").write_text('[tool.orchestrator]\nservice = "nowhere:Nothing"\n', encoding="utf-8")

    from_variable = orchestrator("plan", env={"ORCHESTRATOR_SERVICE": "tiny:Tiny"})
    from_project = orchestrator("plan")

    assert from_variable.returncode == 0
    assert "service 'nowhere:Nothing' (from pyproject.toml): there is no module 'nowhere'" in error_of(from_project)


def test_a_broken_plan_lists_all_problems(orchestrator, folder):
    """One message, exit code 2."""
    source = (folder / "tiny.py").read_text(encoding="utf-8")
    broken = source.replace('["acme"]', '["", "a\\nb"]').replace('"member-poller"', '"Member Poller"')
    (folder / "broken.py").write_text(broken, encoding="utf-8")

    message = error_of(orchestrator("--service", "broken:Tiny", "plan"))

    assert "3 problems" in message
    assert "SpecError" in message


def test_a_wrongly_wired_container_is_refused(orchestrator, folder):
    """The wiring is checked before anything is built."""
    source = (folder / "tiny.py").read_text(encoding="utf-8")
    (folder / "miswired.py").write_text(source.replace("Singleton(Organisations)", "Singleton(Poller)"), "utf-8")

    message = error_of(orchestrator("--service", "miswired:Tiny", "plan"))

    assert "'modules.organisations' (miswired.Poller): argument 'resource' is missing" in message


def test_a_bug_is_told_as_a_bug(orchestrator, folder):
    """With its traceback, behind one line that says whose it is."""
    source = (folder / "tiny.py").read_text(encoding="utf-8")
    buggy = "class Buggy(TinyContainer):\n    def __new__(cls, **_):\n        return 1 / 0\n\n\nclass Tiny("
    source = source.replace("class Tiny(", buggy).replace("    container = TinyContainer", "    container = Buggy")
    (folder / "buggy.py").write_text(source, "utf-8")

    result = orchestrator("--service", "buggy:Tiny", "plan")

    assert result.returncode == 1
    assert result.stderr.startswith("error: ZeroDivisionError was not expected: this is a bug")
    assert "Traceback" in result.stderr


def test_an_interrupt_outside_a_run_is_one_line_and_exit_code_three(orchestrator, folder):
    """Nothing had been started, and whoever pressed Ctrl-C is told so."""
    (folder / "stopped.py").write_text("raise KeyboardInterrupt\n", encoding="utf-8")

    result = orchestrator("--service", "stopped:X", "plan")

    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr == "cancelled by a signal\n"


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_in_the_middle_of_an_import_is_exit_code_three(orchestrator, folder, number):
    """Inside ``exec`` of a text, as dataclasses use it, an interrupt would make the interpreter die of the signal."""
    text = f"import os, signal\nexec('os.kill(os.getpid(), signal.{number})')\n"
    (folder / "stopped.py").write_text(text, encoding="utf-8")

    result = orchestrator("--service", "stopped:X", "plan")

    assert (result.returncode, result.stdout, result.stderr) == (3, "", "cancelled by a signal\n")
