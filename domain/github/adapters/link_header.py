"""Paging by the ``Link`` header (RFC 8288), as far as paging uses it."""

import re

_LINK = re.compile(r'<([^<>]*)>((?:\s*;\s*[^\s=;,]+\s*(?:=\s*(?:"[^"]*"|[^\s;,"]*))?)*)')
_REL = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.IGNORECASE)


def links(header: str | None) -> dict[str, str]:
    """URL per relation. The first of a relation counts; what cannot be read is left out, never an error."""
    found: dict[str, str] = {}
    for url, parameters in _LINK.findall(header or ""):
        if match := _REL.search(parameters):
            for rel in (match.group(1) or match.group(2) or "").lower().split():
                found.setdefault(rel, url)
    return found
