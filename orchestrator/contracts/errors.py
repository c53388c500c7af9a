"""Errors of the contracts, and the capability attributes that any error of a domain may carry.

    Exception
     ├─ ServicePressure        the other side asks for calm; may say for how long
     ├─ PermanentFailure       trying again cannot help
     └─ ValueError
         └─ ContractError      a declaration is wrong
             └─ SpecError      ... of a spec

A domain may raise these, or give any error of its own the same plain attributes; the framework reads attributes, never
types:

========================  ============================================================================================
``retry_after: float``    seconds to wait at least; the failure is the service's (SERVICE) and its wait is honoured
``service_pressure: bool``  True: the service asks for calm (SERVICE)
``retryable: bool``       True: worth trying again (SERVICE); False is no opinion
``permanent: bool``       True: never worth trying again (PERMANENT); beats every other attribute
========================  ============================================================================================
"""


class ServicePressure(Exception):
    """The other side asks for calm; *retry_after* is how long, in seconds, when it said so."""

    service_pressure = True

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PermanentFailure(Exception):
    """Trying again cannot help: a bad credential, a deleted resource, a refused certificate."""

    permanent = True


class ContractError(ValueError):
    """A declaration is wrong: the message names the value, where it stands and the remedy."""


class SpecError(ContractError):
    """A spec cannot be run as it is written."""
