"""Failures below HTTP, for every adapter that calls through httpx.

httpx has exceptions of its own. What fails in the network is given the standard library's types (ConnectionError,
TimeoutError) with the original as cause, so that whoever classifies needs to know no client library.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import httpx

from domain.github.errors import CertificateRefused, RemoteError, TimedOut, Unavailable, Unreachable


@contextmanager
def request_limits(what: str, seconds: float) -> Iterator[None]:
    """Runs one request within *seconds* in all, and translates what goes wrong below HTTP.

    httpx bounds each read; this bounds the whole, so an answer that drips for ever ends too.
    """
    try:
        with anyio.fail_after(seconds):
            yield
    except httpx.HTTPError as error:
        raise transport_error(what, error) from error
    except TimeoutError as error:
        raise TimedOut(
            f"{what}: no complete answer in {seconds:g} s; raise request_timeout if this is normal"
        ) from error


def transport_error(what: str, error: httpx.HTTPError) -> RemoteError:
    """The error to raise from *error*; the caller keeps it as the cause."""
    if refusal := _certificate_refusal(error):
        return CertificateRefused(
            f"{what}: the certificate is not trusted ({refusal}); install the authority's certificate "
            "(environment variable SSL_CERT_FILE), or correct the host name"
        )
    match error:
        case httpx.TimeoutException():
            return TimedOut(f"{what}: {_words(error)}")
        case httpx.UnsupportedProtocol() | httpx.LocalProtocolError():
            return RemoteError(f"{what}: the request cannot be sent ({type(error).__name__}); check base_url")
        case httpx.DecodingError():
            return Unavailable(f"{what}: the answer cannot be decoded ({_words(error)})")
        case _:
            return Unreachable(f"{what}: {_words(error)}")


def _certificate_refusal(error: BaseException | None) -> str | None:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message or str(error)
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
