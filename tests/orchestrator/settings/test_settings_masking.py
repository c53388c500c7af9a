"""No secret is ever printed: not in what is shown, not in errors, not in a repr."""

import json
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from orchestrator.settings import Secret, Section, Settings, SettingsError, effective, load, secret_values
from orchestrator.settings.masking import without_credentials

SECRETS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=4, max_size=30).filter(
    lambda text: len(text.strip()) >= 4 and text.strip() not in ("null", "****")
)


class Endpoint(BaseModel):
    url: str = "http://localhost"


class VaultSection(Section):
    token: Secret
    plain_password: str = "changeme"
    others: dict[str, SecretStr] = {"one": SecretStr("first")}  # noqa: RUF012 - pydantic copies it
    several: list[SecretStr] = [SecretStr("second")]  # noqa: RUF012 - pydantic copies it
    note: str = "nothing"
    level: int = 1
    max_tokens: int = 100
    endpoint: Endpoint = Endpoint()


class VaultSettings(Settings):
    vault: VaultSection


def shown(settings: Settings) -> str:
    values = [[each.field, each.value, each.source] for each in effective(settings)]
    return json.dumps(values, ensure_ascii=False) + repr(settings) + str(settings)


BASELINE = shown(load(VaultSettings, environment={"ORCHESTRATOR_VAULT__TOKEN": "\u2603\u2603\u2603\u2603"}))


@given(SECRETS)
def test_a_secret_is_nowhere_in_what_is_shown(secret: str):
    """Not as the secret itself, not inside another value that contains it."""
    assume(secret not in BASELINE and json.dumps(secret, ensure_ascii=False)[1:-1] not in BASELINE)
    values = {
        "vault": {
            "token": secret,
            "plain_password": f"a{secret}b",
            "others": {"x": secret},
            "several": [secret],
            "note": f"see {secret} there",
            "endpoint": {"url": f"https://me:{secret}@host/?q={secret}"},
        }
    }

    text = shown(load(VaultSettings, environment={}, values=values))

    assert secret not in text
    assert json.dumps(secret, ensure_ascii=False)[1:-1] not in text


@given(SECRETS)
def test_a_secret_is_nowhere_in_an_error(secret: str):
    """Neither the field's own nor that of another field whose value contains it, nor an unknown key's."""
    wrong = {"level": f"no {secret} number", "tokn": secret, "others": {"x": [secret]}, "note": [secret]}
    with pytest.raises(SettingsError) as harmless:
        load(VaultSettings, environment={}, values={"vault": {**wrong, "token": "\u2603" * 4, "level": "no number"}})
    assume(secret not in str(harmless.value) and secret not in repr(harmless.value.problems))

    with pytest.raises(SettingsError) as caught:
        load(VaultSettings, environment={}, values={"vault": {**wrong, "token": secret}})

    assert secret not in str(caught.value)
    assert secret not in repr(caught.value)
    assert secret not in repr(caught.value.problems)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("postgresql://me:secret@host/db", "postgresql://********@host/db"),
        ("postgresql://me:se/cr@et@host/db", "postgresql://********@host/db"),
        ("https://ghp_token@host/", "https://********@host/"),
        ("host=db password=secret user=me", "host=db password=******** user=me"),
        ("host=db password='se cret' user=me", "host=db password=******** user=me"),
        ("https://host/?api_key=secret&page=2", "https://host/?api_key=********&page=2"),
        ("https://host/path", "https://host/path"),
    ],
)
def test_credentials_inside_a_text_are_masked(text: str, safe: str):
    """URLs with userinfo, connection strings, query parameters."""
    assert without_credentials(text) == safe


def test_credentials_of_urls_are_secrets_of_the_settings():
    """So that they are taken out of the logs as well; a bare database user is none."""
    values = {
        "vault": {"token": "t0ken", "endpoint": {"url": "postgresql://me:p%40ss@host"}, "note": "ssh://admin@host"}
    }

    secrets = secret_values(load(VaultSettings, environment={}, values=values))

    assert {"t0ken", "p%40ss", "p@ss", "changeme", "first", "second"} <= secrets
    assert "admin" not in secrets


def test_a_telltale_name_is_masked_whatever_its_type(tmp_path: Path):
    """A team that typed its password as str is safe too; a number of tokens is no secret."""
    values = {"vault": {"token": "abcd", "plain_password": "letmein"}}

    settings = {each.field: each.value for each in effective(load(VaultSettings, environment={}, values=values))}

    assert settings["vault.plain_password"] == "********"
    assert settings["vault.max_tokens"] == 100
    assert settings["vault.several"] == "********"
    assert settings["vault.others.one"] == "********"
