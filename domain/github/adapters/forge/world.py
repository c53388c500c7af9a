"""The forge's world: repositories, issues and comments, changed by plain methods and a clock that is passed in.

No HTTP, no files and no chance beyond the seed: the same seed, the same clock and the same calls give the same world.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from domain.github.adapters.forge.growth import Growth, chance, draft, next_change, remark
from domain.github.adapters.forge.seed import ISSUES, PULL_REQUESTS, REPOSITORIES, Draft

Clock = Callable[[], datetime]

BOT = "longrun-bot"  # who comments through the API

# Ids of real issues passed 2**31 long ago; a column that is too narrow shall fail here and not in production.
_FIRST_REPOSITORY_ID = 810_000_000
_FIRST_ISSUE_ID = 3_100_000_000
_FIRST_COMMENT_ID = 3_500_000_000


def utc_now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Repository:
    """One repository under its current name."""

    id: int
    owner: str
    name: str
    description: str
    created_at: datetime
    has_issues: bool = True

    @property
    def full_name(self) -> str:
        """``owner/name``."""
        return f"{self.owner}/{self.name}"


@dataclass(frozen=True)
class Issue:
    """One issue, or a pull request: GitHub keeps both in one list and one row of numbers."""

    id: int
    repository_id: int
    number: int
    title: str
    body: str | None
    labels: tuple[str, ...]
    user: str
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None = None
    pull_request: bool = False

    @property
    def state(self) -> Literal["open", "closed"]:
        """``open`` until it was closed."""
        return "open" if self.closed_at is None else "closed"


@dataclass(frozen=True)
class Comment:
    """One comment on the issue *number* of a repository."""

    id: int
    repository_id: int
    number: int
    body: str
    user: str
    created_at: datetime


@dataclass
class World:
    """Everything the forge knows. Times are whole seconds in UTC, as GitHub's are."""

    seed: int = 1
    clock: Clock = utc_now
    repositories: dict[int, Repository] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)  # every name a repository ever had, in lower case
    issues: dict[int, dict[int, Issue]] = field(default_factory=dict)  # by repository id, then by number
    comments: dict[int, list[Comment]] = field(default_factory=dict)  # by issue id
    issue_count: int = 0
    comment_count: int = 0
    steps: int = 0  # of growth so far

    @classmethod
    def seeded(
        cls, *, seed: int = 1, clock: Clock = utc_now, extra_issues: int = 0, extra_repositories: int = 0
    ) -> "World":
        """Five repositories with ten issues and two pull requests; more of either on request.

        *extra_issues* go round all repositories; *extra_repositories* are named ``sandbox/repository-0001`` and so on.
        """
        world = cls(seed=seed, clock=clock)
        for full_name, description in REPOSITORIES:
            world.add_repository(full_name, description)
        for number in range(1, extra_repositories + 1):
            world.add_repository(f"sandbox/repository-{number:04d}")
        for item in sorted((*ISSUES, *PULL_REQUESTS), key=lambda item: -item.hours_ago):
            world.open_issue(item)
        homes = [repository.full_name for repository in world.repositories.values()]
        for number in range(extra_issues):
            world.open_issue(draft(chance(seed, -1 - number), homes[number % len(homes)]))
        return world

    def now(self) -> datetime:
        """The present second."""
        return self.clock().replace(microsecond=0)

    def find(self, full_name: str) -> Repository | None:
        """The repository that has or once had this name; names are compared without case."""
        found = self.names.get(full_name.lower())
        return None if found is None else self.repositories[found]

    def issue(self, repository: Repository, number: int) -> Issue | None:
        """The issue *number* of *repository*, if there is one."""
        return self.issues[repository.id].get(number)

    def comments_of(self, issue: Issue) -> list[Comment]:
        """The comments on *issue*, oldest first."""
        return list(self.comments.get(issue.id, ()))

    def all_issues(self) -> Iterator[Issue]:
        """Every issue and pull request of every repository."""
        for of_repository in self.issues.values():
            yield from of_repository.values()

    def all_comments(self) -> list[Comment]:
        """Every comment, oldest first."""
        return sorted((c for of_issue in self.comments.values() for c in of_issue), key=lambda comment: comment.id)

    def add_repository(self, full_name: str, description: str = "", *, has_issues: bool = True) -> Repository:
        """Make a repository; when one has this name already, only switch its issues on or off."""
        known = self.find(full_name)
        if known is not None and known.full_name.lower() == full_name.lower():
            changed = replace(known, has_issues=has_issues)
        else:
            owner, _, name = full_name.partition("/")
            number = _FIRST_REPOSITORY_ID + len(self.repositories) + 1
            changed = Repository(number, owner, name, description, self.now() - timedelta(days=400), has_issues)
            self.names[full_name.lower()] = number
            self.issues[number] = {}
        self.repositories[changed.id] = changed
        return changed

    def rename(self, repository: Repository, full_name: str) -> Repository:
        """Give *repository* a new name; the old one leads to it for ever, as on GitHub."""
        owner, _, name = full_name.partition("/")
        renamed = replace(repository, owner=owner, name=name)
        self.repositories[renamed.id] = renamed
        self.names[full_name.lower()] = renamed.id
        return renamed

    def open_issue(self, item: Draft) -> Issue:
        """Add *item* to its repository, which must exist, under the next number."""
        repository = self.find(item.repository)
        if repository is None:
            raise KeyError(item.repository)
        siblings = self.issues[repository.id]
        created = self.now() - timedelta(hours=item.hours_ago)
        self.issue_count += 1
        issue = Issue(
            id=_FIRST_ISSUE_ID + self.issue_count,
            repository_id=repository.id,
            number=len(siblings) + 1,
            title=item.title,
            body=item.body,
            labels=item.labels,
            user=item.user,
            created_at=created,
            updated_at=created,
            pull_request=item.pull_request,
        )
        siblings[issue.number] = issue
        return issue

    def comment(self, issue: Issue, body: str, user: str = BOT) -> Comment:
        """Comment on *issue*, which thereby counts as updated."""
        self.comment_count += 1
        comment = Comment(
            _FIRST_COMMENT_ID + self.comment_count, issue.repository_id, issue.number, body, user, self.now()
        )
        self.comments.setdefault(issue.id, []).append(comment)
        self._update(replace(issue, updated_at=comment.created_at))
        return comment

    def edit(self, issue: Issue, *, title: str) -> Issue:
        """Change the title of *issue*."""
        return self._update(replace(issue, title=title, updated_at=self.now()))

    def close(self, issue: Issue) -> Issue:
        """Close *issue*."""
        now = self.now()
        return self._update(replace(issue, closed_at=now, updated_at=now))

    def grow(self) -> Growth:
        """Let one thing happen: a new issue, or a comment, an edit or an end of an open one."""
        rng = chance(self.seed, self.steps)
        self.steps += 1
        change = next_change(rng)
        still_open = [issue for issue in self.all_issues() if issue.closed_at is None]
        if change == "opened" or not still_open:
            home = rng.choice([repository.full_name for repository in self.repositories.values()])
            issue = self.open_issue(draft(rng, home))
            return Growth("opened", home, issue.number)
        issue = rng.choice(still_open)
        match change:
            case "commented":
                user, text = remark(rng)
                self.comment(issue, text, user)
            case "edited":
                self.edit(issue, title=f"{issue.title.removesuffix(' (edited)')} (edited)")
            case "closed":
                self.close(issue)
        return Growth(change, self.repositories[issue.repository_id].full_name, issue.number)

    def _update(self, issue: Issue) -> Issue:
        self.issues[issue.repository_id][issue.number] = issue
        return issue
