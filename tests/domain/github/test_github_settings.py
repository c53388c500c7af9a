"""What the settings refuse, with the entry at fault; and that the shipped files are right."""

from pathlib import Path

import pytest

from domain.github.adapters.schema import BATTERY, MIGRATIONS
from domain.github.settings import GithubSettings
from orchestrator.settings import SettingsError, load
from orchestrator.settings.provenance import effective
from orchestrator.sql import StateDatabase

CONFIG = Path(__file__).parents[3] / "config"
TOKEN = "ghp_0123456789"


def settings(environment=None, **sections):
    """Settings from values alone."""
    plain = {"github": {"token": TOKEN, "repositories": ["octocat/hello"]}}
    for name, values in sections.items():
        plain[name] = plain.get(name, {}) | values
    return load(GithubSettings, values=plain, environment=environment or {})


def test_defaults_are_enough_with_a_token_and_one_repository():
    """github.com, one request a second, ten seconds for each."""
    loaded = settings()

    assert loaded.github.base_url == "https://api.github.com"
    assert (loaded.github.min_interval, loaded.github.request_timeout) == (1.0, 10.0)
    assert loaded.explainer.kind == "rules"
    assert loaded.sandbox.enabled is False


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("", "not of the form owner/name"),
        ("octocat", "not of the form owner/name"),
        ("/hello", "not of the form owner/name"),
        ("octocat/", "not of the form owner/name"),
        ("octocat/hello/world", "not of the form owner/name"),
        ("https://github.com/octocat/hello", "not of the form owner/name"),
        ("octocat/he llo", "characters that GitHub does not allow"),
        ("octo.cat/hello", "characters that GitHub does not allow"),
        ("octocat/..", "characters that GitHub does not allow"),
        ("octocat/hällo", "characters that GitHub does not allow"),
        ("octocat/hello\n", "control characters"),
        ("octocat/\x1b[31mhello", "control characters"),
        ("octocat/\u202ehello", "control characters"),
        ("o" * 40 + "/hello", "owner of 40 characters; GitHub allows 39"),
        ("octocat/" + "h" * 101, "name of 101 characters; GitHub allows 100"),
    ],
)
def test_a_wrong_repository_is_one_clear_error_that_names_it(entry, why):
    """With its place in the list, and how to write it."""
    with pytest.raises(SettingsError) as caught:
        settings(github={"repositories": ["octocat/fine", entry]})

    text = str(caught.value)
    assert "github.repositories[1]" in text
    assert why in text
    assert "owner/name" in text
    assert "\x1b" not in text
    assert "octocat/fine" not in text


@pytest.mark.parametrize("second", ["octocat/hello", "Octocat/HELLO"])
def test_a_repository_named_twice_is_refused(second):
    """Also in other letters: GitHub does not tell them apart, and two tenants would do the same work."""
    with pytest.raises(SettingsError, match="repeats"):
        settings(github={"repositories": ["octocat/hello", second]})


def test_no_repository_at_all_is_refused():
    """A service without tenants would sit there and do nothing."""
    with pytest.raises(SettingsError, match=r"github\.repositories"):
        settings(github={"repositories": []})


def test_the_token_comes_from_the_environment_without_its_newline():
    """As ``$(cat token)`` and editors leave it."""
    values = {"github": {"repositories": ["octocat/hello"]}}

    loaded = load(GithubSettings, values=values, environment={"ORCHESTRATOR_GITHUB__TOKEN": f"{TOKEN}\n"})

    assert loaded.github.token.get_secret_value() == TOKEN
    assert TOKEN not in repr(loaded)


@pytest.mark.parametrize("token", ["", "\n", "ab\ncd"])
def test_an_empty_or_broken_token_is_refused_without_being_shown(token):
    """One line of text it must be."""
    with pytest.raises(SettingsError, match=r"github\.token"):
        settings(github={"token": token})


@pytest.mark.parametrize("token", ["abc def", "tökén"])
def test_a_token_that_no_header_can_hold_is_told_with_its_source_and_masked(token):
    """Before anything is built with it."""
    values = {"github": {"repositories": ["octocat/hello"]}}

    with pytest.raises(SettingsError) as caught:
        load(GithubSettings, values=values, environment={"ORCHESTRATOR_GITHUB__TOKEN": token})

    assert str(caught.value).startswith(
        "the settings are not valid: environment ORCHESTRATOR_GITHUB__TOKEN: github.token is ********; "
    )
    assert "paste it again" in str(caught.value)


def test_an_empty_token_is_one_problem_and_not_two():
    """That it is missing too is noise."""
    values = {"github": {"repositories": ["octocat/hello"]}}

    with pytest.raises(SettingsError) as caught:
        load(GithubSettings, values=values, environment={"ORCHESTRATOR_GITHUB__TOKEN": ""})

    assert len(caught.value.problems) == 1
    assert "is empty" in str(caught.value)


def test_without_its_section_only_what_is_required_is_asked_for():
    """Nobody should copy eight keys, the token among them, into the file."""
    with pytest.raises(SettingsError, match=r"add the section \[github\] with repositories$"):
        load(GithubSettings, environment={})


def test_without_a_token_only_the_sandbox_runs():
    """The message says where to put it."""
    values = {"github": {"repositories": ["octocat/hello"]}}

    with pytest.raises(SettingsError, match=r"not valid: github\.token is required.*ORCHESTRATOR_GITHUB__TOKEN"):
        load(GithubSettings, values=values, environment={})
    assert load(GithubSettings, values=values | {"sandbox": {"enabled": True}}, environment={}).github.token is None


@pytest.mark.parametrize(
    ("section", "values", "field"),
    [
        ("github", {"base_url": "api.github.com"}, "github.base_url"),
        ("github", {"base_url": "ftp://api.github.com"}, "github.base_url"),
        ("github", {"base_url": "https://"}, "github.base_url"),
        ("github", {"base_url": "https://me:secret@host"}, "github.base_url"),
        ("github", {"base_url": "https://host:99999"}, "github.base_url"),
        ("github", {"base_url": "https://host?x=1"}, "github.base_url"),
        ("github", {"request_timeout": 0}, "github.request_timeout"),
        ("github", {"request_timeout": "soon"}, "github.request_timeout"),
        ("github", {"min_interval": -1}, "github.min_interval"),
        ("github", {"poll_interval": 0}, "github.poll_interval"),
        ("github", {"relay_interval": float("nan")}, "github.relay_interval"),
        ("github", {"required_label": "a\nb"}, "github.required_label"),
        ("github", {"repositorys": ["a/b"]}, "github.repositories"),
        ("explainer", {"kind": "gpt"}, "explainer.kind"),
        ("explainer", {"kind": "ollama"}, "explainer.endpoint"),
        ("explainer", {"kind": "openai", "endpoint": "http://127.0.0.1:1"}, "explainer.model"),
        ("state", {"url": "var/github.db"}, "state.url"),
        ("state", {"url": "mysql://host/db"}, "state.url"),
        ("state", {"url": "postgresql://"}, "state.url"),
        ("state", {"url": "postgres:host/db"}, "state.url"),
        ("sandbox", {"port": 70_000}, "sandbox.port"),
    ],
)
def test_every_wrong_value_names_its_field(section, values, field):
    """One sentence, no traceback."""
    with pytest.raises(SettingsError) as caught:
        settings(**{section: values})

    assert field in str(caught.value)
    assert "secret@" not in str(caught.value)


def test_the_shipped_sandbox_file_loads_without_anything_else():
    """It is the default of this repository."""
    loaded = load(GithubSettings, CONFIG / "sandbox.toml", environment={})

    assert loaded.sandbox.enabled is True
    assert len(loaded.github.repositories) == 5


def test_the_shipped_file_for_real_use_needs_the_token_only():
    """From the environment."""
    loaded = load(GithubSettings, CONFIG / "github.toml", environment={"ORCHESTRATOR_GITHUB__TOKEN": TOKEN})

    assert loaded.sandbox.enabled is False
    assert loaded.github.base_url == "https://api.github.com"


def test_the_shipped_file_for_postgresql_needs_the_token_only():
    """Its password is for the environment of the driver; checkpoints are kept beside everything else."""
    loaded = load(GithubSettings, CONFIG / "postgres.toml", environment={"ORCHESTRATOR_GITHUB__TOKEN": TOKEN})

    database = StateDatabase(loaded.state.url, {BATTERY: MIGRATIONS})
    assert (database.dialect, database.schema) == ("postgresql", "github")
    assert loaded.orchestrator.state == loaded.state.url
    assert loaded.sandbox.enabled is False


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "PostgreSQL"])
def test_the_state_may_be_on_postgresql_and_its_password_is_shown_nowhere(scheme):
    """Also when it is written into the URL all the same."""
    loaded = settings(state={"url": f"{scheme}://me:pa55word@host/db"})

    assert loaded.state.url == f"{scheme}://me:pa55word@host/db"
    assert "pa55word" not in repr(loaded)
    assert "pa55word" not in repr(list(effective(loaded)))
