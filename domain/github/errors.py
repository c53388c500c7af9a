"""Errors of the reference application; their class attributes are the capabilities that the framework reads.

Exception
 ├─ InvalidRepository (ValueError)   a configured repository is not ``owner/name``
 ├─ NotRegistered (LookupError)      the repository has no local id yet                 retryable
 ├─ InvalidPayload                   an intent that no delivery can make right         permanent
 └─ RemoteError                      the forge or the model behind the Explainer
     ├─ RateLimited                  it asks for calm                                   service_pressure, retry_after
     ├─ Unavailable                  it failed, or its answer makes no sense            retryable, retry_after
     ├─ Refused                      it understood and said no; carries ``status``      permanent
     │   ├─ Missing                  404, 410
     │   └─ Renamed                  the repository has another name now
     ├─ CertificateRefused           its certificate is not trusted                     permanent
     ├─ Unreachable (ConnectionError)   no connection, or it broke
     └─ TimedOut (TimeoutError)         no complete answer in time
"""


class InvalidRepository(ValueError):
    """*text* cannot be a repository: *reason*."""

    def __init__(self, text: str, reason: str) -> None:
        shown = text if len(text) <= 160 else f"{text[:160]}..."
        super().__init__(f"repository {shown!r} {reason}; write it as 'owner/name', for example 'octocat/hello-world'")


class NotRegistered(LookupError):
    """*repository* has no local id: its preflight has not passed with this database."""

    retryable = True

    def __init__(self, repository: str) -> None:
        super().__init__(f"repository {repository} is not in the database yet; its repository-validator stores it")


class InvalidPayload(Exception):
    """An intent whose payload does not name an issue."""

    permanent = True


class RemoteError(Exception):
    """A call to another system did not succeed. Messages never hold a credential."""


class RateLimited(RemoteError):
    """The other side asks for calm; *retry_after* seconds, when it said how long."""

    service_pressure = True

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(RemoteError):
    """The other side failed or answered nonsense; try again, after *retry_after* seconds if it said so."""

    retryable = True

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        if retry_after is not None:
            self.retry_after = retry_after


class Refused(RemoteError):
    """The other side said no with HTTP *status*; the same request will be refused again."""

    permanent = True

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Missing(Refused):
    """404 or 410: it does not exist, is gone, or the credential may not see it."""


class Renamed(Refused):
    """The repository moved; *location* is where the forge points to."""

    def __init__(self, message: str, status: int, location: str | None) -> None:
        super().__init__(message, status)
        self.location = location


class CertificateRefused(RemoteError):
    """The other side's certificate is not trusted; the cause holds the verdict of TLS."""

    permanent = True


class Unreachable(RemoteError, ConnectionError):
    """No connection to the other side, or it broke before the answer was complete."""


class TimedOut(RemoteError, TimeoutError):
    """No complete answer within the time for one request."""
