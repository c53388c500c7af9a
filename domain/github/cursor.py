"""How far a repository has been read, and the pure rule that moves on.

Issues come oldest update first. Reading by page number alone loses issues: one that is updated while pages are walked
leaves its place, the rest move up, and the first of the next page is never seen. So the walk goes by key: the next
page starts *at* the last update seen (inclusive; what is known and unchanged makes no event). Page numbers are used
only inside one second that holds more than a page, and such a second is read until two readings in a row agree: an
issue that moved away during the first, and so made us miss another, is not in the second. A reading counts only when it
began after the second was settled: while issues still join, one that joins can make good for one that leaves.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zlib import crc32

from domain.github.entities import IssuePage

#: A second this long past, by the forge's own clock, takes no further updates.
SETTLED = timedelta(minutes=1)
#: What a reading that began too early sums up to.
TOO_EARLY = -1


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where to read next. *etag* belongs to *etag_url* and to no other request.

    While a second takes several pages: *reading* sums up the issues met in the current reading of it, *before* those of
    the reading before.
    """

    since: str | None = None
    page: int = 1
    etag: str | None = None
    etag_url: str | None = None
    reading: int = 0
    before: int = 0


def advance(cursor: Cursor, page: IssuePage) -> Cursor:
    """The cursor after *page* has been stored."""
    here = replace(cursor, page=1, etag=page.etag, etag_url=page.url, reading=0, before=0)
    last = max([issue.updated_at for issue in page.issues] + [cursor.since or ""]) or None
    if last != cursor.since and cursor.page == 1:
        return replace(here, since=last)
    if cursor.page == 1 and not page.more:
        return here
    reading = _sum(cursor, page)
    if page.more and last == cursor.since:
        return replace(here, page=cursor.page + 1, reading=reading, before=cursor.before)
    if reading == TOO_EARLY:
        return here
    if reading != cursor.before:
        return replace(here, before=reading)  # something may have moved up past us: read this second again
    # Not to *last*: of what stands behind the second, a page that began too late shows only the end.
    if cursor.since is not None and last != cursor.since:
        return replace(here, since=_next(cursor.since))
    return replace(here, since=_leave(cursor.since, page.date))


def _sum(cursor: Cursor, page: IssuePage) -> int:
    """What the current reading of the second comes to, with this page."""
    begins = cursor.page == 1 and cursor.since is not None and page.date is not None
    if cursor.reading == TOO_EARLY or (begins and not _settled(cursor.since or "", page.date or "")):
        return TOO_EARLY
    numbers = [issue.number for issue in page.issues if issue.updated_at == cursor.since]
    return crc32(repr(numbers).encode(), cursor.reading) if numbers else cursor.reading


def _leave(since: str | None, now: str | None) -> str | None:
    """The next second when *since* is settled, so that a full second at the end is not walked for ever."""
    if since is None or now is None or not _settled(since, now):
        return since
    return _next(since)


def _next(second: str) -> str:
    return (datetime.fromisoformat(second) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _settled(second: str, now: str) -> bool:
    return datetime.fromisoformat(now) - datetime.fromisoformat(second) >= SETTLED
