"""The state file: the world as one JSON document, replaced atomically, so that a killed forge finds it again."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from domain.github.adapters.forge.errors import BadStateFile
from domain.github.adapters.forge.world import Clock, Comment, Issue, Repository, World


@dataclass(frozen=True)
class _Snapshot:
    version: Literal[1]
    seed: int
    steps: int
    names: dict[str, int]
    repositories: list[Repository]
    issues: list[Issue]
    comments: list[Comment]


_SNAPSHOT = TypeAdapter(_Snapshot)


def save(world: World, path: Path) -> None:
    """Write *world* to *path*: the old file or the new one survives a crash, never half of one.

    Raises `BadStateFile` when it cannot be written.
    """
    snapshot = _Snapshot(
        1,
        world.seed,
        world.steps,
        world.names,
        list(world.repositories.values()),
        list(world.all_issues()),
        world.all_comments(),
    )
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(_SNAPSHOT.dump_json(snapshot, indent=1))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise BadStateFile(path, f"{error.strerror}; give a path in a folder that exists and is writable") from error


def load(path: Path, clock: Clock) -> World | None:
    """The world in *path*; None when there is no such file. Raises `BadStateFile` when it is not one of ours."""
    try:
        document = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadStateFile(path, f"{error.strerror}; give the path of a readable file") from error
    try:
        snapshot = _SNAPSHOT.validate_json(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise BadStateFile(path, f"{where}: {first['msg']}; delete the file to start afresh") from None
    return _world(snapshot, path, clock)


def _world(snapshot: _Snapshot, path: Path, clock: Clock) -> World:
    repositories = {repository.id: repository for repository in snapshot.repositories}
    issues: dict[int, dict[int, Issue]] = {number: {} for number in repositories}
    comments: dict[int, list[Comment]] = {}
    try:
        for issue in snapshot.issues:
            issues[issue.repository_id][issue.number] = issue
        for comment in snapshot.comments:
            comments.setdefault(issues[comment.repository_id][comment.number].id, []).append(comment)
        unknown = set(snapshot.names.values()) - repositories.keys()
        if unknown:
            raise KeyError(min(unknown))
    except KeyError as error:
        raise BadStateFile(
            path, f"it refers to {error}, which it does not hold; delete the file to start afresh"
        ) from None
    return World(
        seed=snapshot.seed,
        clock=clock,
        repositories=repositories,
        names=dict(snapshot.names),
        issues=issues,
        comments=comments,
        issue_count=len(snapshot.issues),
        comment_count=len(snapshot.comments),
        steps=snapshot.steps,
    )
