"""What GitHub repositories bring into a service."""

from collections.abc import Sequence
from dataclasses import replace

from domain.github.entities import Repository
from domain.github.errors import NotRegistered
from domain.github.issue_poller import IssuePoller
from domain.github.outbox_relay import OutboxRelay
from domain.github.ports import RepositoryStore
from domain.github.repository_validator import RepositoryValidator
from orchestrator.contracts import Database, Module, Preflight, Worker


class RepositoryModule(Module[Repository]):
    """Tenants are the configured repositories, each validated, polled and relayed on its own."""

    name = "repositories"

    def __init__(
        self,
        repositories: Sequence[Repository],
        validator: RepositoryValidator,
        poller: IssuePoller,
        relay: OutboxRelay,
        database: Database,
        store: RepositoryStore,
    ) -> None:
        self._repositories = tuple(repositories)
        self._validator = validator
        self._workers = (poller, relay)
        self._database = database
        self._store = store

    def tenants(self) -> Sequence[Repository]:
        return self._repositories

    def preflights(self) -> Sequence[Preflight[Repository]]:
        return (self._validator,)

    def workers(self) -> Sequence[Worker[Repository]]:
        return self._workers

    async def resolve(self, tenant: Repository) -> Repository:
        """The repository with its local id. Raises NotRegistered before its validator has stored one."""
        found = await self._database.read(lambda db: self._store.repository_id(db, tenant))
        if found is None:
            raise NotRegistered(str(tenant))
        return replace(tenant, id=found)
