"""The forge: one world behind one rate limit, with trouble in the way and a log of what was asked.

Every method may be called from any thread: a test changes the world while the server thread answers from it.
"""

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from domain.github.adapters.forge import effects, storage
from domain.github.adapters.forge.answer import Answer, Call, Refused, etag_of, matches, ok, problem
from domain.github.adapters.forge.endpoints import Endpoint
from domain.github.adapters.forge.growth import Growth
from domain.github.adapters.forge.ratelimit import WINDOW, RateWindow
from domain.github.adapters.forge.seed import Draft
from domain.github.adapters.forge.shapes import rate_limit_json
from domain.github.adapters.forge.trouble import NEEDS_A_BODY, Trouble, TroubleQueue
from domain.github.adapters.forge.world import Comment, Issue, Repository, World

LONGEST_LOG = 10_000  # requests; the oldest are forgotten first


@dataclass(frozen=True)
class Seen:
    """One request that reached the forge. *at* is monotonic seconds; *etag_hit*: an honest 304."""

    method: str
    path: str
    query: str
    status: int
    etag_hit: bool
    trouble: str | None
    at: float


@dataclass(frozen=True)
class _Verdict:
    """What the world says to a call, before trouble has its way."""

    answer: Answer
    etag_hit: bool = False


class Forge:
    """A GitHub of its own.

    *world*: by default the seeded one. *token*: when given, every request must carry it. *limit*: requests per hour.
    *state_file*: where the world is kept; a file that exists wins over *world*. *troubles*: pending from the start.
    Raises `BadStateFile`.
    """

    def __init__(
        self,
        world: World | None = None,
        *,
        token: str | None = None,
        limit: int = 5000,
        state_file: Path | None = None,
        troubles: Iterable[Trouble] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        fresh = World.seeded() if world is None else world
        kept = None if state_file is None else storage.load(state_file, fresh.clock)
        self.world = fresh if kept is None else kept
        self._token = token
        self._state_file = state_file
        self._monotonic = monotonic
        self._window = RateWindow(limit, 0, self.world.clock() + WINDOW)
        self._troubles = TroubleQueue(tuple(troubles))
        self._log: deque[Seen] = deque(maxlen=LONGEST_LOG)
        self._requests = 0
        self._lock = threading.RLock()
        self._save()

    def __repr__(self) -> str:
        return (
            f"<Forge: {len(self.world.repositories)} repositories, {self.world.issue_count} issues, "
            f"{self.world.comment_count} comments, {len(self._troubles.pending)} troubles pending>"
        )

    # What a client of GitHub sees

    def handle(self, call: Call, endpoint: Endpoint) -> tuple[Answer, Trouble | None]:
        """The complete answer to *call*, and the trouble that hit it, if any, for what it does to the connection."""
        with self._lock:
            now = self.world.clock()
            self._window = self._window.at(now)
            self._troubles, trouble = self._troubles.decide(call.line)
            verdict = self._troubled(call, endpoint, trouble, now)
            answer = self._dressed(verdict.answer, trouble, now)
            self._requests += 1
            self._log.append(
                Seen(
                    call.method,
                    call.path,
                    call.raw_query,
                    answer.status,
                    verdict.etag_hit,
                    None if trouble is None else trouble.kind.value,
                    self._monotonic(),
                )
            )
            return answer, trouble

    def rate_limit(self, _world: World, _call: Call) -> Answer:
        """``GET /rate_limit``: free of charge."""
        return ok(rate_limit_json(self._window))

    def _troubled(self, call: Call, endpoint: Endpoint, trouble: Trouble | None, now: datetime) -> _Verdict:
        if trouble is None:
            return self._verdict(call, endpoint)
        instead = effects.replacement(trouble, now + timedelta(seconds=trouble.ahead))
        if instead is not None and not trouble.served:
            return _Verdict(instead)
        if trouble.kind in NEEDS_A_BODY:
            call = replace(call, headers={k: v for k, v in call.headers.items() if k != "if-none-match"})
        verdict = self._verdict(call, endpoint)
        if instead is not None:
            return _Verdict(instead)
        return replace(verdict, answer=effects.spoiled(verdict.answer, trouble.kind))

    def _verdict(self, call: Call, endpoint: Endpoint) -> _Verdict:
        refusal = self._refusal(call)
        if refusal is not None:
            return _Verdict(refusal)
        try:
            answer = endpoint(self.world, call)
        except Refused as refused:
            answer = refused.answer
        if call.method == "POST" and answer.status == 201:
            self._save()
        if call.method in ("GET", "HEAD") and answer.status == 200:
            etag = etag_of(answer.body)
            answer = answer.having({"ETag": etag, "Cache-Control": "private, max-age=60, s-maxage=60"})
            if matches(etag, call.headers.get("if-none-match")):
                return _Verdict(
                    Answer(304, b"", {k: v for k, v in answer.headers.items() if k != "Content-Type"}), True
                )
        if call.path != "/rate_limit":
            self._window = self._window.spent()
        return _Verdict(answer)

    def _refusal(self, call: Call) -> Answer | None:
        """Why *call* is not looked at."""
        if not call.headers.get("user-agent"):
            return problem(403, "Request forbidden by administrative rules. Send a User-Agent header.")
        if self._token is not None and not self._knows(call.headers.get("authorization", "")):
            return problem(401, "Bad credentials")
        if self._window.remaining == 0 and call.path != "/rate_limit":
            return effects.exhausted()
        return None

    def _knows(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        expected = (self._token or "").encode()
        return scheme.lower() in ("bearer", "token") and secrets.compare_digest(token.strip().encode(), expected)

    def _dressed(self, answer: Answer, trouble: Trouble | None, now: datetime) -> Answer:
        """With the headers that every answer carries, told by the server's own clock."""
        window, clock = self._window, now
        if trouble is not None:
            clock = now + timedelta(seconds=trouble.ahead)
            window = effects.window_under(trouble, window, clock)
        return answer.having(
            {
                "Date": effects.http_date(clock),
                "Server": "github.com",
                "X-GitHub-Request-Id": f"F0:{self.world.seed:04X}:{self._requests + 1:08X}",
                "X-GitHub-Media-Type": "github.v3; format=json",
                "X-RateLimit-Limit": str(window.limit),
                "X-RateLimit-Remaining": str(window.remaining),
                "X-RateLimit-Used": str(window.used),
                "X-RateLimit-Reset": str(window.reset_seconds),
                "X-RateLimit-Resource": "core",
            }
        )

    # What an operator of the forge orders

    def held(self) -> AbstractContextManager[object]:
        """Keeps other threads out, for who reads several things that must agree."""
        return self._lock

    def trouble(self, *troubles: Trouble) -> None:
        """Queue *troubles* for the requests to come."""
        with self._lock:
            self._troubles = self._troubles.with_trouble(*troubles)

    def calm(self) -> int:
        """Forget all pending trouble; how many there were."""
        with self._lock:
            count = len(self._troubles.pending)
            self._troubles = TroubleQueue()
            return count

    def grow(self, count: int = 1) -> list[Growth]:
        """Let *count* things happen in the world."""
        with self._lock:
            steps = [self.world.grow() for _ in range(count)]
            self._save()
            return steps

    def open_issue(self, draft: Draft) -> Issue:
        """Open one particular issue; raises KeyError when its repository is unknown."""
        with self._lock:
            issue = self.world.open_issue(draft)
            self._save()
            return issue

    def add_repository(self, full_name: str, description: str = "", *, has_issues: bool = True) -> Repository:
        """Make a repository, or switch the issues of an existing one on or off."""
        with self._lock:
            repository = self.world.add_repository(full_name, description, has_issues=has_issues)
            self._save()
            return repository

    def rename(self, old: str, new: str) -> Repository:
        """Rename a repository; raises KeyError when there is none called *old*, or another one is called *new*."""
        with self._lock:
            repository, other = self.world.find(old), self.world.find(new)
            if repository is None:
                raise KeyError(old)
            if other is not None and other.id != repository.id:
                raise KeyError(new)
            renamed = self.world.rename(repository, new)
            self._save()
            return renamed

    @property
    def pending(self) -> tuple[Trouble, ...]:
        """Trouble that has not struck yet."""
        return self._troubles.pending

    @property
    def window(self) -> RateWindow:
        """The primary rate limit as it stands."""
        return self._window

    @property
    def requests(self) -> int:
        """How many requests were answered, forgotten ones of the log included."""
        return self._requests

    def comments(self) -> list[Comment]:
        """Every comment of every repository, oldest first."""
        with self._lock:
            return self.world.all_comments()

    def log(self) -> list[Seen]:
        """The requests seen, oldest first."""
        with self._lock:
            return list(self._log)

    def forget_log(self) -> None:
        """Empty the log."""
        with self._lock:
            self._log.clear()

    def _save(self) -> None:
        if self._state_file is not None:
            storage.save(self.world, self._state_file)
