"""Settings from a TOML file."""

import re
import tomllib
from pathlib import Path

from orchestrator.settings.errors import Problem
from orchestrator.settings.layer import Layer
from orchestrator.settings.toml_lines import key_lines

#: A configuration file above this is some other file.
_LARGEST = 4 * 1024 * 1024

_PLACE = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL)
_TWICE = re.compile(r"overwrite|twice|duplicate|mutate|already", re.IGNORECASE)


def toml_layer(path: Path) -> Layer:
    """What the file sets, with the line of each key. A file that cannot be used is the layer's one problem."""
    layer = Layer(str(_short(path)), file=path)
    text = _read(path, layer)
    if text is None:
        return layer
    try:
        layer.values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        layer.problems.append(_broken(layer.name, str(error), text))
    except RecursionError:
        layer.problems.append(Problem(layer.name, "", "is not valid TOML: it is nested too deep"))
    except ValueError as error:  # an integer with thousands of digits
        layer.problems.append(Problem(layer.name, "", f"is not valid TOML: {error}"))
    else:
        layer.origins = {keys: f"{layer.name}:{line}" for keys, line in key_lines(text).items()}
    return layer


def _read(path: Path, layer: Layer) -> str | None:
    problem: str | None = None
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) <= _LARGEST:
            return content.decode("utf-8-sig").replace("\r\n", "\n")
        problem = f"is larger than {_LARGEST} bytes; give the settings file"
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        utf16 = error.object[:2] in (b"\xff\xfe", b"\xfe\xff")
        form = "it is UTF-16; save it as UTF-8" if utf16 else f"byte {error.start} on line {line}; save it as UTF-8"
        problem = f"is not UTF-8 text: {form}"
    except FileNotFoundError:
        problem = "there is no such file; give the path of the settings file with --config"
    except IsADirectoryError:
        problem = "is a directory; give the file in it"
    except PermissionError:
        problem = "may not be read by this user; change its permissions"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except ValueError as error:  # a NUL in the path
        problem = f"cannot be read: {error}"
    layer.problems.append(Problem(layer.name, "", problem))
    return None


def _short(path: Path) -> Path:
    """As a person in the current folder would write it."""
    try:
        return path.relative_to(Path.cwd())
    except (ValueError, OSError):
        return path


def _broken(name: str, message: str, text: str) -> Problem:
    match = _PLACE.fullmatch(message)
    what = match["what"] if match else message
    if _TWICE.search(what):
        what += "; a key or table stands there twice"
    if match is None:
        return Problem(name, "", f"is not valid TOML: {what}")
    # The end of the document is its last line to an editor.
    where = f"{name}:{match['line']}:{match['column']}" if match["line"] else f"{name}:{text.count(chr(10)) + 1}"
    return Problem(where, "", f"is not valid TOML: {what}")
