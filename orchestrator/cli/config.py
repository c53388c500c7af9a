"""``config show`` and ``config schema``: the settings in force, and all that there are."""

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.cli import streams

if TYPE_CHECKING:
    from orchestrator.service import Service
    from orchestrator.settings import Effective


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``config show [--json]`` and ``config schema``."""
    help_text = "show the settings in force, or the schema of all settings"
    parser = subparsers.add_parser("config", help=help_text, description=help_text)
    actions = parser.add_subparsers(dest="config_action", metavar="show|schema", required=True)
    show_help = "every setting in force with its source; secrets are masked"
    show = actions.add_parser("show", help=show_help, description=show_help)
    show.add_argument("--json", action="store_true", help="one JSON object")
    schema_help = "the JSON schema of the settings, with defaults"
    actions.add_parser("schema", help=schema_help, description=schema_help)


def run(args: argparse.Namespace) -> int:
    """Print the settings of ``args.service_type``; 0. Raises SettingsError when they are not valid."""
    from orchestrator.settings import effective, load

    service: type[Service] = args.service_type
    if args.config_action == "schema":
        streams.write(json.dumps(service.settings.model_json_schema(), indent=2))
        return 0
    values = effective(load(service.settings, args.config))
    if args.json:
        _print_json(args.config, values)
    else:
        _print_text(values)
    return 0


def _print_json(config: object, values: Sequence["Effective"]) -> None:
    settings = [{"field": each.field, "value": each.value, "source": each.source} for each in values]
    document = {"config": None if config is None else str(config), "settings": settings}
    streams.write(json.dumps(document, indent=2))


def _print_text(values: Sequence["Effective"]) -> None:
    """``field = value``, then the source in a column of its own; JSON spelling keeps each value on its line."""
    said = [f"{each.field} = {json.dumps(each.value)}" for each in values]
    width = min(max(map(len, said), default=0), 60)
    for text, each in zip(said, values, strict=True):
        streams.write(f"{text:<{width}}  # {each.source}")
