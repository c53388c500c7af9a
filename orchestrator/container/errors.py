"""Errors of containers.

Exception
 └─ ContainerError      exit code 2: the service is put together wrongly
     ├─ WiringError     providers and constructors do not fit; every problem is listed
     ├─ BuildError      a provider could not make its object
     ├─ ManagedError    an object cannot be opened and closed as Managed promises
     └─ OverrideError   a test overrides what is not there
"""

from collections.abc import Iterable


class ContainerError(Exception):
    """The service is put together wrongly."""

    exit_code = 2


class WiringError(ContainerError):
    """Providers and constructors do not fit. *problems* are all that was found."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n  - ".join(["the container is wired wrongly:", *self.problems]))


class BuildError(ContainerError):
    """A provider could not make its object; the message names it, the argument at fault, and the cause."""


class ManagedError(ContainerError):
    """An object cannot be opened and closed as Managed promises."""


class OverrideError(ContainerError):
    """A test overrides what is not there."""
