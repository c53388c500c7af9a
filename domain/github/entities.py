"""Values of the reference application. Instants are text of one form, ``2026-01-31T09:30:00Z``, and sort as text."""

import hashlib
import re
from dataclasses import dataclass, field

from domain.github.errors import InvalidRepository, NotRegistered

#: GitHub's own limits: 39 characters of an owner, 100 of a repository name.
_OWNER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,38})")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")


@dataclass(frozen=True, slots=True)
class Repository:
    """One tenant. ``str(repository)`` is ``owner/name``; *id* is the local id, known once the validator has passed."""

    owner: str
    name: str
    id: int | None = field(default=None, compare=False)

    @classmethod
    def parse(cls, text: str) -> "Repository":
        """Read ``owner/name``. Raises InvalidRepository, which says what is wrong with which value."""
        if not text.isprintable():
            raise InvalidRepository(text, "holds control characters")
        owner, slash, name = text.partition("/")
        if not slash or not owner or not name or "/" in name:
            raise InvalidRepository(text, "is not of the form owner/name")
        if len(owner) > 39:
            raise InvalidRepository(text, f"has an owner of {len(owner)} characters; GitHub allows 39")
        if len(name) > 100:
            raise InvalidRepository(text, f"has a name of {len(name)} characters; GitHub allows 100")
        if not _OWNER.fullmatch(owner) or not _NAME.fullmatch(name) or name in {".", ".."}:
            raise InvalidRepository(text, "uses characters that GitHub does not allow (letters, digits, '-', '_', '.')")
        return cls(owner, name)

    @property
    def slug(self) -> str:
        """What makes it unique: GitHub does not tell upper from lower case."""
        return str(self).lower()

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"


def local_id(repository: Repository) -> int:
    """The id that the validator stored. Raises NotRegistered without one."""
    if repository.id is None:
        raise NotRegistered(str(repository))
    return repository.id


@dataclass(frozen=True, slots=True)
class RepositoryFacts:
    """What the forge says about a repository."""

    github_id: int
    full_name: str


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue, or pull request, as the forge shows it."""

    github_id: int
    number: int
    title: str
    body: str
    state: str
    author: str
    labels: tuple[str, ...]
    updated_at: str
    pull_request: bool = False

    @property
    def fingerprint(self) -> str:
        """Equal for equal content; *updated_at* alone has whole seconds and cannot tell two edits in one second."""
        content = "\0".join((self.title, self.body, self.state, *sorted(self.labels)))
        return hashlib.sha256(content.encode(errors="replace")).hexdigest()[:16]

    @property
    def version(self) -> str:
        """Changes whenever the issue does."""
        return f"{self.updated_at}#{self.fingerprint}"


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment of an issue."""

    id: int
    author: str
    body: str


@dataclass(frozen=True, slots=True)
class IssuePage:
    """One page of issues, oldest update first. *url* is what was asked, *date* the forge's own time of the answer."""

    issues: tuple[Issue, ...]
    more: bool
    url: str
    etag: str | None = None
    date: str | None = None


@dataclass(frozen=True, slots=True)
class CommentPage:
    """One page of comments, oldest first."""

    comments: tuple[Comment, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """Something that happened in *repository* and is not yet handed over."""

    id: int
    topic: str
    number: int
    version: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Text for a reader, and who says so: a rule or a model."""

    text: str
    by: str
