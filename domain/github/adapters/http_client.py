"""The httpx client as both adapters use it."""

import ssl
from collections.abc import Mapping
from functools import cache
from urllib.parse import urlsplit

import httpx

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def http_client(url: str, headers: Mapping[str, str], timeout: float) -> httpx.AsyncClient:
    """A client for the host of *url*: no redirects, and the environment's proxy unless the host is this machine."""
    trust_env = urlsplit(url).hostname not in _LOOPBACK
    return httpx.AsyncClient(
        headers=headers,
        timeout=timeout,
        follow_redirects=False,
        trust_env=trust_env,
        verify=_certificates(trust_env),
    )


@cache
def _certificates(trust_env: bool) -> ssl.SSLContext:
    # Reading all authorities takes some 50 ms of CPU, and every client would do it by itself.
    return httpx.create_ssl_context(trust_env=trust_env)
