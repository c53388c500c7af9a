"""``config show`` prints what is in force and where it came from; ``config schema`` what there is."""

import argparse
import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from orchestrator.cli import config
from orchestrator.settings import Interval, Secret, Section, Settings, SettingsError


class ForgeSection(Section):
    token: Secret = SecretStr("default-token")
    url: str = "https://me:hunter22@forge.example"
    interval: Interval = 60.0


class ForgeSettings(Settings):
    forge: ForgeSection = ForgeSection()


class Forge:
    settings = ForgeSettings


def run(path: Path | None, *words: str) -> int:
    parser = argparse.ArgumentParser()
    config.add_parser(parser.add_subparsers())
    args = parser.parse_args(["config", *words])
    args.service_type, args.config = Forge, path
    return config.run(args)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "app.toml"
    file.write_text('[forge]\ntoken = "hunter33"\ninterval = 5\n')
    return file


def test_show_prints_each_value_with_its_source(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """One line for each setting; the source stands behind it."""
    monkeypatch.setenv("ORCHESTRATOR_LOG__LEVEL", "debug")

    code = run(file, "show")

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert code == 0
    assert lines[0] == "orchestrator.preflight_deadline = 300.0 # default"
    assert "forge.interval = 5.0 # app.toml:3" in lines
    assert 'log.level = "debug" # environment ORCHESTRATOR_LOG__LEVEL' in lines


def test_show_masks_every_secret(file: Path, capsys: pytest.CaptureFixture[str]):
    """The token of the file, and the password in the URL."""
    run(file, "show")
    run(file, "show", "--json")

    out = capsys.readouterr().out
    assert "hunter22" not in out
    assert "hunter33" not in out
    assert 'forge.token = "********"' in out
    assert "https://********@forge.example" in out


def test_show_has_json(file: Path, capsys: pytest.CaptureFixture[str]):
    """For scripts: field, value, source."""
    code = run(file, "show", "--json")

    document = json.loads(capsys.readouterr().out)
    assert code == 0
    assert document["config"] == str(file)
    assert {"field": "forge.interval", "value": 5.0, "source": "app.toml:3"} in document["settings"]
    assert {"field": "forge.token", "value": "********", "source": "app.toml:2"} in document["settings"]


def test_show_works_without_a_file(capsys: pytest.CaptureFixture[str]):
    """Defaults and the environment are settings too."""
    code = run(None, "show", "--json")

    assert code == 0
    assert json.loads(capsys.readouterr().out)["config"] is None


def test_show_prints_nothing_when_the_settings_are_not_valid(file: Path, capsys: pytest.CaptureFixture[str]):
    """The error goes to the command line, which knows its exit code."""
    file.write_text("[forge]\ninterval = 0")

    with pytest.raises(SettingsError, match=r"app\.toml:2: forge\.interval is 0; it must be seconds"):
        run(file, "show")

    assert capsys.readouterr().out == ""


def test_schema_prints_the_sections_with_their_bounds_and_without_secrets(capsys: pytest.CaptureFixture[str]):
    """An editor completes from it; a default secret is masked."""
    code = run(None, "schema")

    out = capsys.readouterr().out
    schema = json.loads(out)
    assert code == 0
    assert schema["properties"].keys() == {"orchestrator", "log", "forge"}
    assert schema["$defs"]["ForgeSection"]["properties"]["interval"]["minimum"] == 0.005
    assert schema["$defs"]["OrchestratorSection"]["properties"]["settle"]["default"] == 5.0
    assert schema["$defs"]["ForgeSection"]["additionalProperties"] is False
    assert "default-token" not in out


def test_an_action_is_needed(capsys: pytest.CaptureFixture[str]):
    """``config`` alone is wrong usage."""
    with pytest.raises(SystemExit) as stop:
        run(None)

    assert stop.value.code == 2
    assert "show|schema" in capsys.readouterr().err
