"""Reading an error as a whole: the leaves of groups, and the chain of causes behind each."""

from collections.abc import Iterator


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The single errors that *error* is made of: itself, or the leaves of an exception group, nested ones too."""
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from leaves(member)
    else:
        yield error


def chain(error: BaseException, *, contexts: bool = True) -> Iterator[BaseException]:
    """*error* and what is behind it, nearest first: ``__cause__``, else ``__context__`` unless suppressed, each once.

    A group behind an error is walked member by member. Without *contexts* only what was named as a cause counts.
    """
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        if isinstance(current, BaseExceptionGroup):
            waiting.extend(reversed(current.exceptions))
        if current.__cause__ is not None:
            waiting.append(current.__cause__)
        elif contexts and current.__context__ is not None and not current.__suppress_context__:
            waiting.append(current.__context__)
