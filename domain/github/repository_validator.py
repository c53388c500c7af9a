"""Preflight: the repository exists, is readable with our token, and has a local id."""

from domain.github.entities import Repository
from domain.github.ports import GithubApi, RepositoryStore
from orchestrator.contracts import Database, PreflightSpec


class RepositoryValidator:
    """Looks each repository up once and stores it. A renamed or missing one fails for good, with the remedy."""

    def __init__(
        self, github: GithubApi, database: Database, repositories: RepositoryStore, *, gate: str | None = None
    ) -> None:
        self._github = github
        self._database = database
        self._repositories = repositories
        self._gate = gate

    def task_spec(self) -> PreflightSpec[Repository]:
        return PreflightSpec("repository-validator", self.validate, gate=self._gate)

    async def validate(self, repository: Repository) -> None:
        facts = await self._github.repository(repository)
        await self._database.transaction(lambda db: self._repositories.register(db, repository, facts))
