"""What a team configures, and what is refused before anything runs."""

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from domain.github.entities import Repository
from domain.github.errors import InvalidRepository
from orchestrator.settings import InboxSection, Interval, Seconds, Secret, Section, Settings

_STATE = re.compile(r"(sqlite3?|postgres(ql)?)://.+", re.IGNORECASE)


def _repository(text: str) -> str:
    try:
        return str(Repository.parse(text))
    except InvalidRepository as error:
        raise PydanticCustomError("repository", "{why}", {"why": str(error)}) from None


def _distinct(texts: tuple[str, ...]) -> tuple[str, ...]:
    if not texts:
        raise PydanticCustomError("empty", "name at least one as 'owner/name', for example 'octocat/hello-world'")
    first: dict[str, str] = {}
    for text in texts:
        known = first.setdefault(text.lower(), text)
        if known is not text or texts.count(text) > 1:
            raise PydanticCustomError(
                "repeated",
                "each repository once: {second} repeats {first}; GitHub does not tell upper from lower case",
                {"first": repr(known), "second": repr(text)},
            )
    return texts


def _http(text: str) -> str:
    try:
        url = urlsplit(text)
        fine = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0 and text.isprintable()
    except ValueError:
        fine = False
    if not fine or url.query or url.fragment or " " in text:
        raise PydanticCustomError("address", "it must be an address such as https://api.github.com")
    if url.username or url.password:
        raise PydanticCustomError("address", "it must hold no user name or password; use the token")
    return text.rstrip("/")


def _database(text: str) -> str:
    if not _STATE.fullmatch(text):
        raise PydanticCustomError(
            "database",
            "it must be sqlite://relative/path, sqlite:///absolute/path or postgresql://user@host:5432/database",
        )
    return text


def _sendable(token: SecretStr) -> SecretStr:
    text = token.get_secret_value()
    if " " in text or not text.isascii() or not text.isprintable():
        raise PydanticCustomError("token", "it holds spaces, control or non-ASCII characters; paste it again")
    return token


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("line", "it must be one line without control characters")
    return text


Address = Annotated[str, AfterValidator(_http)]
Line = Annotated[str, AfterValidator(_one_line)]


class GithubSection(Section):
    """``[github]``: which repositories, and how to reach them. Durations are seconds."""

    base_url: Address = Field(
        default="https://api.github.com",
        description="The REST API: github.com, or https://HOST/api/v3 of a GitHub Enterprise Server.",
    )
    token: Annotated[Secret, AfterValidator(_sendable)] | None = Field(
        default=None, description="A token with access to the repositories: issues, read and write."
    )
    repositories: Annotated[tuple[Annotated[str, AfterValidator(_repository)], ...], AfterValidator(_distinct)] = Field(
        description="The tenants, each as owner/name."
    )
    request_timeout: Annotated[Seconds, Field(gt=0)] = Field(
        default=10.0, description="For one request from sending to the last byte; waiting for its turn is not counted."
    )
    min_interval: Seconds = Field(
        default=1.0, description="Between the starts of two requests with this token. GitHub advises one second."
    )
    poll_interval: Interval = Field(default=30.0, description="How often each repository is asked for changes.")
    relay_interval: Interval = Field(default=5.0, description="How often changes are handed over to the inbox.")
    required_label: Line = Field(
        default="", description="Only issues with this label are explained, in upper or lower case; empty: all."
    )


class ExplainerSection(Section):
    """``[explainer]``: who explains issues."""

    kind: Literal["rules", "ollama", "openai"] = Field(
        default="rules", description="rules: built in, no network. ollama, openai: a model behind an endpoint."
    )
    endpoint: Address | None = Field(
        default=None, description="Where the model is, for example http://127.0.0.1:11434."
    )
    model: Line = Field(default="", description="The model's name at that endpoint.")
    api_key: Secret | None = Field(default=None, description="What the endpoint asks for, if anything.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kind != "rules" and (self.endpoint is None or not self.model):
            raise PydanticCustomError(
                "explainer", "explainer.kind {kind} needs explainer.endpoint and explainer.model", {"kind": self.kind}
            )
        return self


class StateSection(Section):
    """``[state]``: where everything is kept."""

    url: Annotated[str, AfterValidator(_database)] = Field(
        default="sqlite://var/github.db",
        description="The database: sqlite:// with a path from here, sqlite:/// from the root, or postgresql://.",
    )


class SandboxSection(Section):
    """``[sandbox]``: a GitHub of our own on loopback, instead of the one at ``github.base_url``."""

    enabled: bool = Field(default=False, description="Start the sandbox and use it.")
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(default=0, description="Its port; 0: any free one.")
    seed: int = Field(default=1, description="What it holds at first and how it grows follow from this number.")
    extra_issues: Annotated[int, Field(ge=0)] = Field(default=0, description="Issues beside the ten seeded ones.")
    alive: bool = Field(default=True, description="Let issues grow and trouble happen while it runs.")
    state_file: Line = Field(
        default="", description="Keeps its issues and comments across restarts; empty: nothing is kept."
    )


class GithubSettings(Settings):
    """Settings of the reference application."""

    github: GithubSection
    explainer: ExplainerSection = ExplainerSection()
    inbox: InboxSection = InboxSection()
    state: StateSection = StateSection()
    sandbox: SandboxSection = SandboxSection()

    @model_validator(mode="after")
    def _credential(self) -> Self:
        if self.github.token is None and not self.sandbox.enabled:
            raise PydanticCustomError(
                "token",
                "github.token is required and not set; set it in the environment as ORCHESTRATOR_GITHUB__TOKEN or as a "
                "secret file, never in the settings file; or set sandbox.enabled to try it without GitHub",
            )
        return self
