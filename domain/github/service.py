"""The reference service: ``python -m orchestrator --service domain.github:Github run``."""

from domain.github.container import GithubContainer
from domain.github.settings import GithubSettings
from orchestrator import Service


class Github(Service):
    """Watches GitHub repositories and explains their new issues."""

    name = "github"
    settings = GithubSettings
    container = GithubContainer
