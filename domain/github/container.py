"""The composition root: which adapter stands behind which port."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from dependency_injector import providers

from domain.github.adapters.explainer_llm import LlmExplainer, OllamaExplainer, OpenAiExplainer
from domain.github.adapters.github_http import GithubHttp
from domain.github.adapters.issue_store import SqlIssues, SqlRepositories
from domain.github.adapters.outbox_store import SqlExplanations, SqlOutbox
from domain.github.adapters.schema import BATTERY, MIGRATIONS
from domain.github.adapters.throttle import Throttle
from domain.github.adapters.upstream import Sandbox, Upstream
from domain.github.entities import Explanation, Issue, Repository
from domain.github.issue_explainer import EXPLAIN_ISSUE, IssueExplainer, Stores
from domain.github.issue_poller import IssuePoller
from domain.github.module import RepositoryModule
from domain.github.outbox_relay import OutboxRelay
from domain.github.ports import Explainer
from domain.github.repository_validator import RepositoryValidator
from domain.github.rules import RuleExplainer
from domain.github.settings import ExplainerSection, GithubSettings, SandboxSection
from orchestrator import Container, Managed
from orchestrator.inbox import Handlers, Inbox, Poller
from orchestrator.inbox.module import InboxModule
from orchestrator.sql import StateDatabase

#: All units of the one token wait out its limits together.
GATE = "github-token"


class ChosenExplainer:
    """The Explainer that the settings ask for, opened and closed with the service when it needs that."""

    def __init__(self, section: ExplainerSection) -> None:
        key = section.api_key.get_secret_value() if section.api_key else ""
        self._model: LlmExplainer | None = None
        if section.kind != "rules":
            dialect = OllamaExplainer if section.kind == "ollama" else OpenAiExplainer
            self._model = dialect(section.endpoint or "", section.model, key)
        self._explainer: Explainer = self._model or RuleExplainer()

    async def __aenter__(self) -> Self:
        if self._model is not None:
            await self._model.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._model is not None:
            await self._model.__aexit__(kind, error, trace)

    async def explain(self, issue: Issue, others: Sequence[Issue]) -> Explanation:
        """As :class:`domain.github.ports.Explainer`."""
        return await self._explainer.explain(issue, others)


def sandbox_of(section: SandboxSection) -> Sandbox | None:
    """What to start, None when it is switched off."""
    if not section.enabled:
        return None
    return Sandbox(section.port, section.seed, section.extra_issues, section.alive, section.state_file)


def github_of(settings: GithubSettings, upstream: Upstream, throttle: Throttle) -> GithubHttp:
    """The client of the configured, or the sandbox's, API. The sandbox never sees the real token."""
    section = settings.github
    token = "" if settings.sandbox.enabled or section.token is None else section.token.get_secret_value()
    return GithubHttp(upstream.base_url, token, throttle=throttle, request_timeout=section.request_timeout)


def tenants_of(names: Sequence[str]) -> tuple[Repository, ...]:
    """The configured repositories."""
    return tuple(Repository.parse(name) for name in names)


def handlers_of(explainer: IssueExplainer) -> Handlers:
    """Which intent type is handled by what."""
    return Handlers().add(EXPLAIN_ISSUE, explainer)


class GithubContainer(Container):
    """The reference application. Managed objects are opened in the order in which they need one another."""

    settings = providers.Dependency(instance_of=GithubSettings)
    config = settings.provided

    upstream = Managed(Upstream, config.github.base_url, providers.Callable(sandbox_of, config.sandbox))
    throttle = providers.Singleton(Throttle, config.github.min_interval)
    github = Managed(github_of, settings, upstream, throttle)
    explainer = Managed(ChosenExplainer, config.explainer)
    database = Managed(StateDatabase, config.state.url, {BATTERY: MIGRATIONS})
    inbox = providers.Singleton(Inbox.over, database)

    repositories = providers.Singleton(SqlRepositories)
    issues = providers.Singleton(SqlIssues)
    outbox = providers.Singleton(SqlOutbox)
    explanations = providers.Singleton(SqlExplanations)

    validator = providers.Singleton(RepositoryValidator, github, database, repositories, gate=GATE)
    poller = providers.Singleton(
        IssuePoller, github, database, issues, outbox, interval=config.github.poll_interval, gate=GATE
    )
    relay = providers.Singleton(OutboxRelay, database, issues, outbox, inbox, interval=config.github.relay_interval)
    issue_explainer = providers.Singleton(
        IssueExplainer,
        github,
        database,
        providers.Singleton(Stores, repositories, issues, explanations),
        explainer,
        required_label=config.github.required_label,
    )

    modules = providers.Dict(
        repositories=providers.Singleton(
            RepositoryModule,
            providers.Callable(tenants_of, config.github.repositories),
            validator,
            poller,
            relay,
            database,
            repositories,
        ),
        inbox=providers.Singleton(
            InboxModule,
            inbox,
            providers.Singleton(
                Poller,
                inbox,
                providers.Callable(handlers_of, issue_explainer),
                lease=config.inbox.lease,
                poll_interval=config.inbox.poll_interval,
                concurrency=config.inbox.concurrency,
            ),
        ),
    )
