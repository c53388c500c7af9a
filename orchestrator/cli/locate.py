"""Which service runs, and with which config file.

The service: ``--service``, else ``ORCHESTRATOR_SERVICE``, else ``[tool.orchestrator] service`` of ./pyproject.toml.

The config file: ``--config``, else ``ORCHESTRATOR_CONFIG``, else ``[tool.orchestrator] config``; this last one belongs
to the service named beside it, so it does not count when another service was named elsewhere. No file at all is fine:
the settings then come from the environment and their defaults.

    Exception
     └─ LocateError        exit code 2: the service or its config file cannot be found or loaded
         └─ NoService      nobody names a service
"""

import os
import sys
import tomllib
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.service import Service

PYPROJECT = "pyproject.toml"
_KEYS = ("service", "config")

_NO_SERVICE = """\
no service is named; do one of these:
  - give --service domain.github:Github
  - set ORCHESTRATOR_SERVICE=domain.github:Github
  - write service = "domain.github:Github" under [tool.orchestrator] in ./pyproject.toml"""


class LocateError(Exception):
    """The service or its config file cannot be found or loaded; the message says where its name came from."""

    exit_code = 2


class NoService(LocateError):
    """Nobody names a service: no option, no variable, no project file."""


@dataclass(frozen=True, slots=True)
class Named:
    """A text and where it was said: ``--service``, ``ORCHESTRATOR_SERVICE``, ``pyproject.toml``."""

    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Located:
    """The service's path and the config file that goes with it."""

    service: Named
    config: Path | None


def locate(service: str | None, config: str | None, environ: Mapping[str, str] = os.environ) -> Located:
    """What runs, from the options, *environ* and the current folder. Raises LocateError."""
    said_service = _said("--service", service, "ORCHESTRATOR_SERVICE", environ)
    said_config = _said("--config", config, "ORCHESTRATOR_CONFIG", environ)
    project = {} if said_service and said_config else _project()
    default_service = project.get("service")
    chosen = said_service or default_service
    if chosen is None:
        raise NoService(_NO_SERVICE)
    if said_config is None and (default_service is None or default_service.text == chosen.text):
        said_config = project.get("config")
    return Located(chosen, _existing(said_config))


def load_service(named: Named) -> "type[Service]":
    """The class that ``package.module:Class`` means; modules of the current folder can be named. Raises LocateError."""
    module_path, colon, attribute = named.text.partition(":")
    if not (colon and attribute.isidentifier() and all(part.isidentifier() for part in module_path.split("."))):
        raise LocateError(
            f"service {named.text!r} (from {named.source}) is not of the form package.module:Class, "
            "for example domain.github:Github"
        )
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return _service_class(_imported(module_path, named), attribute, named)


def _said(option: str, given: str | None, variable: str, environ: Mapping[str, str]) -> Named | None:
    if given is not None:
        if not given:
            raise LocateError(f"{option} is empty; give a value, or leave it out")
        return Named(given, option)
    text = environ.get(variable)
    return Named(text, variable) if text else None


def _project() -> dict[str, Named]:
    """What ./pyproject.toml says under [tool.orchestrator]; nothing when there is no such file or table."""
    try:
        table: object = tomllib.loads(Path(PYPROJECT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise LocateError(f"./{PYPROJECT} cannot be read: {error}") from error
    for name in ("tool", "orchestrator"):
        table = table.get(name, {}) if isinstance(table, dict) else None
    if not isinstance(table, dict):
        raise LocateError(f"[tool.orchestrator] in ./{PYPROJECT} is not a table; write service = ... below it")
    named: dict[str, Named] = {}
    for key, value in table.items():
        if key not in _KEYS:
            near = get_close_matches(key, _KEYS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it may hold {' and '.join(_KEYS)}"
            raise LocateError(f"[tool.orchestrator] in ./{PYPROJECT} has an unknown key {key!r}; {hint}")
        if not isinstance(value, str) or not value:
            raise LocateError(f"[tool.orchestrator] {key} in ./{PYPROJECT} is {value!r}; give a text")
        named[key] = Named(value, PYPROJECT)
    return named


def _existing(config: Named | None) -> Path | None:
    if config is None:
        return None
    path = Path(config.text)
    if path.is_dir():
        raise LocateError(f"config file {config.text!r} (from {config.source}) is a folder; name the TOML file in it")
    if not path.exists():
        raise LocateError(f"config file {config.text!r} (from {config.source}) does not exist below {Path.cwd()}")
    return path


def _imported(path: str, named: Named) -> ModuleType:
    try:
        return import_module(path)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{path}.".startswith(f"{error.name}."):
            raise LocateError(
                f"service {named.text!r} (from {named.source}): there is no module {error.name!r} in {Path.cwd()} "
                "or in the environment"
            ) from error
        raise LocateError(
            f"service {named.text!r} (from {named.source}): importing {path!r} failed: "
            f"{type(error).__name__}: {_one_line(error)} ({_place(error)})"
        ) from error


def _service_class(module: ModuleType, attribute: str, named: Named) -> "type[Service]":
    from orchestrator.service import Service

    where = f"service {named.text!r} (from {named.source})"
    services = [name for name, value in vars(module).items() if _is_service(value, Service)]
    services = services or [name for name in getattr(module, "__all__", ()) if name not in vars(module)]  # on demand
    offer = f"; its services: {', '.join(services)}" if services else "; it has no subclass of orchestrator.Service"
    try:
        found = getattr(module, attribute)
    except Exception as error:
        if not isinstance(error, AttributeError):  # a module may load its names when they are asked for
            raise LocateError(
                f"{where}: loading {attribute!r} failed: {type(error).__name__}: {_one_line(error)} ({_place(error)})"
            ) from error
        near = get_close_matches(attribute, services or list(vars(module)), 1, 0.5)
        hint = f"; did you mean {near[0]!r}?" if near else offer
        raise LocateError(f"{where}: module {module.__name__!r} has no {attribute!r}{hint}") from None
    if not _is_service(found, Service):
        what = "the skeleton itself" if found is Service else f"a {type(found).__name__}"
        raise LocateError(f"{where}: {attribute!r} is {what}, not a subclass of orchestrator.Service{offer}")
    service_class: type[Service] = found
    return service_class


def _is_service(value: object, service: type) -> bool:
    return isinstance(value, type) and issubclass(value, service) and value is not service


def _place(error: Exception) -> str:
    """``file:line`` where *error* was raised: the wrong line itself for a syntax error."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    return f"{frames[-1].filename}:{frames[-1].lineno}"


def _one_line(error: Exception) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return " ".join(text.split())
