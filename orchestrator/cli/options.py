"""The options that every command takes, before its name or after it."""

import argparse
from typing import Any


class CommandParser(argparse.ArgumentParser):
    """A parser that knows ``--service`` and ``--config``.

    ``add_subparsers`` makes parsers of the same class, so every command takes them too, at any depth. None of them
    has a default here: the root sets it, and a command that was not given the option leaves the root's value alone.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the signature is argparse's
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)
        common = self.add_argument_group("service")
        common.add_argument(
            "--service",
            metavar="MODULE:CLASS",
            default=argparse.SUPPRESS,
            help="the service, for example domain.github:Github (else $ORCHESTRATOR_SERVICE, else "
            "[tool.orchestrator] service in ./pyproject.toml)",
        )
        common.add_argument(
            "--config",
            metavar="FILE",
            default=argparse.SUPPRESS,
            help="its TOML file (else $ORCHESTRATOR_CONFIG, else [tool.orchestrator] config when the service named "
            "beside it is the one that runs)",
        )
