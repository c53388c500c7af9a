"""``check`` as a process: phase 1 alone, its report, and never a worker."""

import json
import os
import signal

import pytest

pytestmark = pytest.mark.slow  # processes of their own


def no_worker_was_called(service) -> bool:
    return not [note for note in service.notes if note.startswith(("work", "ready"))]


def test_a_check_that_passes(tiny):
    """Exit code 0 and one line; everything is closed again."""
    service = tiny("check")

    code, out, err = service.end()

    assert (code, out) == (0, "preflights passed: 2 passed\n")
    assert "Traceback" not in err
    assert service.notes == ["open", *sorted(service.notes[1:3]), "on_stop", "shutdown", "close"]
    assert no_worker_was_called(service)


@pytest.mark.timeout(30)
def test_a_failing_tenant_is_named_with_its_reason_within_seconds(tiny):
    """Exit code 1; the others are not waited for longer than the settle time."""
    service = tiny("check", check="refuse")

    code, out, err = service.end()

    assert (code, "Traceback" in err) == (1, False)
    assert out.splitlines() == [
        "preflights failed: 1 passed, 1 failed",
        "  failed         preflight:reachable:acme/shop: PermanentFailure: the token was revoked "
        "[PermanentFailure is permanent]",
    ]
    assert no_worker_was_called(service)


def test_json_is_one_object_on_standard_output(tiny):
    """For scripts; the logs are on standard error."""
    service = tiny("check", "--json", check="refuse")

    code, out, _ = service.end()

    assert code == 1
    assert json.loads(out) == {
        "status": "failed",
        "reason": None,
        "passed": 1,
        "failed": [
            {
                "id": "preflight:reachable:acme/shop",
                "error": "PermanentFailure: the token was revoked",
                "reason": "PermanentFailure is permanent",
            }
        ],
        "still_failing": [],
        "never_started": 0,
        "quarantined": [],
    }


def test_a_tenant_that_is_left_out_is_in_the_json(tiny):
    """Quarantine is a pass, but not in silence."""
    service = tiny("check", "--json", check="refuse", quarantine=True)

    code, out, _ = service.end()

    report = json.loads(out)
    assert (code, report["status"]) == (0, "passed")
    assert report["quarantined"] == [{"module": "shops", "tenant": "acme/shop"}]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_cancelled(tiny, number):
    """Exit code 3, with what was still failing."""
    service = tiny("check", check="hang")
    service.until("check acme/shop")

    service.signal(number)

    code, out, err = service.end()
    assert (code, "Traceback" in err) == (3, False)
    assert out.splitlines()[0] == f"preflights cancelled: 1 passed, 1 still failing ({number.name})"
    assert no_worker_was_called(service)


def test_a_report_that_nobody_reads_is_no_failure(tiny):
    """``check | head -0``: the exit code still says what the check came to."""
    reading, writing = os.pipe()
    os.close(reading)
    service = tiny("check", stdout=writing)
    os.close(writing)

    code, _, err = service.end()

    assert (code, "Traceback" in err) == (0, False)


def test_a_failure_that_nobody_reads_is_still_a_failure(tiny):
    """A closed pipe does not make a failed check a success."""
    reading, writing = os.pipe()
    os.close(reading)
    service = tiny("check", check="refuse", stdout=writing)
    os.close(writing)

    code, _, err = service.end()

    assert (code, "Traceback" in err) == (1, False)


LEAKY = """
from dependency_injector import providers

from orchestrator import Container, Service, Settings
from orchestrator.contracts import GlobalPreflightSpec, Module
from orchestrator.settings import Secret, Section


class Vault(Section):
    key: Secret


class VaultSettings(Settings):
    vault: Vault


class Opens:
    def __init__(self, key):
        self.key = key

    def task_spec(self):
        return GlobalPreflightSpec("vault", self.check)

    async def check(self):
        raise ValueError(f"the vault does not take {self.key.get_secret_value()}")


class Vaults(Module):
    name = "vaults"

    def __init__(self, key):
        self.key = key

    def global_preflights(self):
        return [Opens(self.key)]


class VaultContainer(Container):
    settings = providers.Dependency(instance_of=VaultSettings)
    modules = providers.Dict(vaults=providers.Singleton(Vaults, settings.provided.vault.key))


class Leaky(Service):
    name, settings, container = "leaky", VaultSettings, VaultContainer
"""


@pytest.mark.parametrize("words", [["check"], ["check", "--json"], ["run"]])
def test_a_secret_in_an_error_is_not_in_the_report(orchestrator, folder, words):
    """Whatever somebody's library puts into its message: the report is masked like the log."""
    (folder / "leaky.py").write_text(LEAKY, encoding="utf-8")

    result = orchestrator("--service", "leaky:Leaky", *words, env={"ORCHESTRATOR_VAULT__KEY": "s3cr3t-0123456789"})

    assert result.returncode == 1
    assert "the vault does not take ********" in (result.stderr if words == ["run"] else result.stdout)
    assert "s3cr3t" not in result.stdout + result.stderr
    assert "--json" not in words or json.loads(result.stdout)["passed"] == 0
