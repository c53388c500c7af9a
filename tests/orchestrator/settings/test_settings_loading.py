"""Settings come from four places, strongest first, and each value knows its source."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import Field

from orchestrator.settings import (
    Interval,
    Secret,
    Section,
    Settings,
    effective,
    load,
    provenance,
    secret_values,
    settings_file,
)


class Repository(Section):
    name: str
    interval: Interval = 60.0


class ForgeSection(Section):
    token: Secret
    url: str = "https://forge.example"
    interval: Interval = 60.0
    repositories: list[Repository] = Field(default=[])
    labels: dict[str, str] = Field(default={})
    note: str | None = "none"


class ForgeSettings(Settings):
    forge: ForgeSection


def test_the_environment_wins_over_secret_files_and_these_over_the_file(tmp_path: Path):
    """Strongest first: code, environment, secret files, TOML."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "forge__url").write_text("https://from-secrets\n")
    (secrets / "forge__token").write_text("from-secrets\n")
    file = tmp_path / "app.toml"
    file.write_text('[forge]\ntoken = "from-file"\nurl = "from-file"\ninterval = 7\nnote = "from-file"\n')
    environment = {
        "ORCHESTRATOR_SECRETS_DIR": str(secrets),
        "ORCHESTRATOR_FORGE__URL": "https://from-environment",
        "ORCHESTRATOR_FORGE__NOTE": "from-environment",
    }

    settings = load(ForgeSettings, file, environment=environment, values={"forge": {"note": "from-code"}})

    assert settings.forge.note == "from-code"
    assert settings.forge.url == "https://from-environment"
    assert settings.forge.token.get_secret_value() == "from-secrets"
    assert settings.forge.interval == 7.0


def test_every_value_knows_its_source(tmp_path: Path):
    """Provenance names the line, the variable, the secret file, or says default."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "FORGE__TOKEN").write_text("abcd")
    file = tmp_path / "app.toml"
    file.write_text('[log]\nlevel = "debug"\n\n[[forge.repositories]]\nname = "a/b"\n')
    environment = {"ORCHESTRATOR_SECRETS_DIR": str(secrets), "ORCHESTRATOR_FORGE__INTERVAL": "5"}

    sources = provenance(load(ForgeSettings, file, environment=environment))

    assert sources["log.level"] == f"{file}:2"
    assert sources["forge.repositories[0].name"] == f"{file}:5"
    assert sources["forge.repositories[0].interval"] == "default"
    assert sources["forge.interval"] == "environment ORCHESTRATOR_FORGE__INTERVAL"
    assert sources["forge.token"] == f"secret file {secrets / 'FORGE__TOKEN'}"
    assert sources["orchestrator.settle"] == "default"


def test_a_file_in_the_current_folder_is_named_relative_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The source reads as a person would write the path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    file = tmp_path / "config" / "app.toml"
    file.write_text('forge.token = "abcd"\n')

    settings = load(ForgeSettings, file, environment={})

    assert provenance(settings)["forge.token"] == "config/app.toml:1"
    assert settings_file(settings) == file


def test_arrays_and_tables_are_json_in_the_environment():
    """A section given as JSON can be refined key by key, and null unsets."""
    environment = {
        "ORCHESTRATOR_FORGE": '{"token": "abcd", "interval": 5, "url": "u"}',
        "ORCHESTRATOR_FORGE__INTERVAL": "9",
        "ORCHESTRATOR_FORGE__REPOSITORIES": '[{"name": "a/b"}]',
        "ORCHESTRATOR_FORGE__LABELS__TEAM": "core",
        "ORCHESTRATOR_FORGE__NOTE": "null",
    }

    forge = load(ForgeSettings, environment=environment).forge

    assert (forge.interval, forge.url, forge.note) == (9.0, "u", None)
    assert [repository.name for repository in forge.repositories] == ["a/b"]
    assert forge.labels == {"team": "core"}


@pytest.mark.parametrize(
    ("text", "splay"), [("true", True), ("False", False), ("1", 1.0), ("2.5", 2.5), ("0", 0.0), (" 3 ", 3.0)]
)
def test_the_splay_is_a_switch_or_seconds(text: str, splay: object):
    """From the environment, 1 is a second and not true."""
    environment = {"ORCHESTRATOR_ORCHESTRATOR__SPLAY": text}

    value = load(Settings, environment=environment).orchestrator.splay

    assert value == splay
    assert type(value) is type(splay)


def test_the_defaults_of_the_framework_hold_without_any_source():
    """A team that sets nothing gets these."""
    settings = load(Settings, environment={})

    assert settings.orchestrator.model_dump() == {
        "preflight_deadline": 300.0,
        "preflight_cap": None,
        "preflight_concurrency": 100,
        "settle": 5.0,
        "shutdown_timeout": 30.0,
        "on_preflight_failure": "stop",
        "on_worker_failure": "quarantine",
        "max_running": 1000,
        "max_running_per_tenant": None,
        "state": None,
        "splay": True,
    }
    assert settings.log.model_dump() == {"level": "info", "format": "auto"}


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path):
    """What an editor on Windows saves is a good file, and its lines are counted right."""
    file = tmp_path / "app.toml"
    file.write_bytes(b'\xef\xbb\xbf[forge]\r\n\r\ntoken = "abcd"\r\n')

    settings = load(ForgeSettings, file, environment={})

    assert settings.forge.token.get_secret_value() == "abcd"
    assert provenance(settings)["forge.token"] == f"{file}:3"


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\n\n"])
def test_the_newline_at_the_end_of_a_secret_is_taken_off(tmp_path: Path, ending: str):
    """Whether it comes from a file or a variable."""
    (tmp_path / "forge__token").write_bytes(f"abcd{ending}".encode())

    from_file = load(ForgeSettings, environment={"ORCHESTRATOR_SECRETS_DIR": str(tmp_path)})
    from_variable = load(ForgeSettings, environment={"ORCHESTRATOR_FORGE__TOKEN": f"abcd{ending}"})

    assert from_file.forge.token.get_secret_value() == "abcd"
    assert from_variable.forge.token.get_secret_value() == "abcd"


def test_a_kubernetes_secret_mount_is_read_through_its_links(tmp_path: Path):
    """Kubernetes mounts links into ..data; other applications' files beside ours are left alone."""
    data = tmp_path / "..2026_11_20"
    data.mkdir()
    (data / "forge__token").write_text("abcd\n")
    (tmp_path / "..data").symlink_to(data.name)
    (tmp_path / "forge__token").symlink_to("..data/forge__token")
    (tmp_path / "another-application").write_text("its secret")
    (tmp_path / "kubernetes.io").mkdir()

    settings = load(ForgeSettings, environment={"ORCHESTRATOR_SECRETS_DIR": str(tmp_path)})

    assert settings.forge.token.get_secret_value() == "abcd"


def test_the_variables_of_kubernetes_services_are_not_taken_for_settings():
    """A Service named orchestrator-admin puts these into every container of its namespace."""
    environment = {
        "ORCHESTRATOR_SERVICE_HOST": "10.0.0.1",
        "ORCHESTRATOR_SERVICE_PORT": "80",
        "ORCHESTRATOR_ADMIN_SERVICE_PORT_HTTP": "80",
        "ORCHESTRATOR_ADMIN_PORT": "tcp://10.0.0.1:80",
        "ORCHESTRATOR_ADMIN_PORT_80_TCP": "tcp://10.0.0.1:80",
        "ORCHESTRATOR_ADMIN_PORT_80_TCP_ADDR": "10.0.0.1",
        "ORCHESTRATOR_SERVICE": "forge:Forge",
        "ORCHESTRATOR_CONFIG": "app.toml",
        "UNRELATED": "",
    }

    settings = load(Settings, environment=environment)

    assert set(provenance(settings).values()) == {"default"}


def test_called_directly_the_settings_read_the_environment(monkeypatch: pytest.MonkeyPatch):
    """As pydantic-settings does: arguments first, then the process's own variables."""
    monkeypatch.setenv("ORCHESTRATOR_FORGE__INTERVAL", "5")
    monkeypatch.setenv("ORCHESTRATOR_LOG__LEVEL", "error")

    settings = ForgeSettings(forge={"token": "abcd"}, log={"level": "DEBUG"})

    assert (settings.forge.interval, settings.log.level) == (5.0, "debug")


def test_the_values_given_in_code_are_left_as_they_were():
    """Loading works on a copy."""
    values = {"forge": {"token": "abcd", "labels": {"a": "b"}}}

    load(ForgeSettings, environment={}, values=values)

    assert values == {"forge": {"token": "abcd", "labels": {"a": "b"}}}


def test_settings_can_be_read_by_their_paths_in_effect_order():
    """The list of what is in force follows the class: framework first, then the team's sections."""
    settings = load(ForgeSettings, environment={"ORCHESTRATOR_FORGE__TOKEN": "abcd"})

    fields = [each.field for each in effective(settings)]

    assert fields[0] == "orchestrator.preflight_deadline"
    assert fields[-1] == "forge.note"
    assert secret_values(settings) == {"abcd"}


def test_the_framework_and_its_logs_load_without_pydantic():
    """The command line's help stays instant."""
    code = (
        "import sys, orchestrator, orchestrator.contracts, orchestrator.logs, orchestrator.cli.config;"
        "print([name for name in ('pydantic', 'pydantic_settings', 'dependency_injector') if name in sys.modules])"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"
