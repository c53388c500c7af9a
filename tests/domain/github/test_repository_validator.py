"""The preflight and the module over the forge and a real database."""

import pytest

from domain.github.adapters.issue_store import SqlIssues, SqlRepositories
from domain.github.adapters.outbox_store import SqlOutbox
from domain.github.entities import Repository
from domain.github.errors import InvalidRepository, Missing, NotRegistered, Renamed
from domain.github.issue_poller import IssuePoller
from domain.github.module import RepositoryModule
from domain.github.outbox_relay import OutboxRelay
from domain.github.repository_validator import RepositoryValidator
from orchestrator.contracts import Module
from orchestrator.inbox import Inbox

pytestmark = pytest.mark.anyio

HELLO = Repository("octocat", "hello")


@pytest.fixture
def validator(github, database):
    """The preflight over the real adapters."""
    return RepositoryValidator(github, database, SqlRepositories())


@pytest.fixture
def module(github, database, validator):
    """The module with one tenant."""
    store, outbox = SqlIssues(), SqlOutbox()
    poller = IssuePoller(github, database, store, outbox)
    relay = OutboxRelay(database, store, outbox, Inbox.over(database))
    return RepositoryModule([HELLO], validator, poller, relay, database, SqlRepositories())


async def test_a_readable_repository_passes_and_gets_a_local_id(validator, module):
    """The same each time, and in whatever letters it is written."""
    await validator.validate(HELLO)
    await validator.validate(HELLO)

    resolved = await module.resolve(Repository("Octocat", "HELLO"))

    assert resolved.id == 1
    assert resolved == Repository("Octocat", "HELLO")


async def test_a_missing_repository_is_permanent_and_says_what_to_check(validator):
    """A typo, or a token without access: GitHub answers 404 to both."""
    with pytest.raises(Missing, match="check the spelling and the token") as caught:
        await validator.validate(Repository("octocat", "nothing"))

    assert caught.value.permanent is True


async def test_a_renamed_repository_is_permanent_and_named_by_its_new_name(validator, forge, module):
    """Following silently would make two tenants of one repository some day."""
    forge.rename("octocat/hello", "octocat/world")

    with pytest.raises(Renamed, match="octocat/hello is now octocat/world"):
        await validator.validate(HELLO)

    with pytest.raises(NotRegistered):
        await module.resolve(HELLO)


async def test_resolving_before_validation_says_what_is_missing(module):
    """A failed lookup fails that run and is asked again."""
    with pytest.raises(NotRegistered, match="octocat/hello") as caught:
        await module.resolve(HELLO)

    assert caught.value.retryable is True


async def test_the_module_declares_its_specs(module):
    """One preflight, two workers; the framework multiplies them by the tenants."""
    assert isinstance(module, Module)
    assert module.name == "repositories"
    assert [str(tenant) for tenant in module.tenants()] == ["octocat/hello"]
    assert [one.task_spec().resource for one in module.preflights()] == ["repository-validator"]
    assert [one.task_spec().resource for one in module.workers()] == ["issue-poller", "outbox-relay"]


@pytest.mark.parametrize("text", ["", "a", "a/b/c", "a/b\n", "a b/c"])
async def test_text_that_is_no_repository_is_refused(text):
    """With the value and how to write it."""
    with pytest.raises(InvalidRepository, match="write it as 'owner/name'"):
        Repository.parse(text)
