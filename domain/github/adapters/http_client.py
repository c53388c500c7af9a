"""The httpx client as both adapters use it."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def http_client(url: str, headers: Mapping[str, str], timeout: float) -> httpx.AsyncClient:
    """A client for the host of *url*: no redirects, and the environment's proxy unless the host is this machine."""
    return httpx.AsyncClient(
        headers=headers,
        timeout=timeout,
        follow_redirects=False,
        trust_env=urlsplit(url).hostname not in _LOOPBACK,
    )
