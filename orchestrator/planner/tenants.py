"""The text of a tenant: what stands for it in identities, logs and metrics."""

import unicodedata

#: Longer texts do not fit a metric label or a table, and are a value printed by mistake.
LONGEST_TENANT = 200

_UNPRINTABLE = {"Cc": "control character", "Cs": "lone surrogate", "Zl": "line separator", "Zp": "paragraph separator"}
_BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def tenant_text(tenant: object) -> tuple[str, str | None]:
    """The text of *tenant* and what is wrong with it (None: nothing). Never raises.

    A text is 1 to 200 characters on one line that look like what they are; the tenant itself can be hashed.
    """
    try:
        text = str(tenant)
    except Exception as error:  # noqa: BLE001 - a domain's own __str__ may raise anything; it becomes one problem
        return type(tenant).__qualname__, f"str() of a {_type(tenant)} raised {type(error).__name__}: {error}"
    problem = _text_problem(text)
    if problem:
        return text, f"tenant {_short(text)} {problem}"
    try:
        hash(tenant)
    except Exception as error:  # noqa: BLE001 - a domain's own __hash__ may raise anything; it becomes one problem
        return text, f"tenant {_short(text)} cannot be hashed ({error}); make {_type(tenant)} a frozen dataclass"
    return text, None


def _text_problem(text: str) -> str | None:
    if not text.strip():
        return "is empty; its str() must name it"
    if text != text.strip():
        return "has blanks around it; strip them where it is read"
    if len(text) > LONGEST_TENANT:
        return f"has {len(text)} characters; at most {LONGEST_TENANT} name a tenant, so give it a __str__ that does"
    for position, character in enumerate(text):
        kind = _UNPRINTABLE.get(unicodedata.category(character))
        if kind is None and unicodedata.bidirectional(character) in _BIDI_CONTROLS:
            kind = "text direction control"
        if kind:
            return f"holds a {kind} (U+{ord(character):04X}) at position {position}; remove it where it is read"
    return None


def _short(text: str) -> str:
    return ascii(text) if len(text) <= 60 else ascii(text[:60]) + "..."


def _type(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
