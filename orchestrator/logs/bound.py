"""A logger bound to fields, which a line's own ``extra=`` completes instead of losing them."""

import logging
from collections.abc import Mapping, MutableMapping
from typing import Any


class BoundLogger(logging.LoggerAdapter[logging.Logger]):
    """Puts *fields* on every line. The standard adapter would drop what a single call gives as ``extra``."""

    def __init__(self, logger: logging.Logger, fields: Mapping[str, object]) -> None:
        super().__init__(logger, dict(fields))

    def process(
        self,
        msg: Any,  # noqa: ANN401 - the signature is logging's
        kwargs: MutableMapping[str, Any],
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """*kwargs* with the bound fields below the line's own."""
        own = kwargs.get("extra")
        return msg, {**kwargs, "extra": {**(self.extra or {}), **own} if own else self.extra}
