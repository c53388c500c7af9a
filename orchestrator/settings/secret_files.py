"""Settings from files, one value each, as Docker and Kubernetes mount secrets.

``ORCHESTRATOR_SECRETS_DIR=/run/secrets`` and a file ``github__token`` (any case; ``ORCHESTRATOR_GITHUB__TOKEN`` is the
same) set ``token`` of ``[github]``. Newlines at the end are taken off. Other files may live there too: only a name with
our prefix or with ``__`` in it has to be a setting.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from orchestrator.settings.environment import DELIMITER, PREFIX, add_text, no_such_setting, resolve
from orchestrator.settings.errors import Problem
from orchestrator.settings.layer import Layer, dotted
from orchestrator.settings.shape import nearest, paths

FOLDER_VARIABLE = "ORCHESTRATOR_SECRETS_DIR"

#: A Kubernetes Secret holds at most 1 MiB.
_LARGEST = 1024 * 1024


def secrets_layer(model: type[BaseModel], environment: Mapping[str, str] | None = None) -> Layer:
    """What the files of the secrets folder set; no folder named, nothing set."""
    variables = os.environ if environment is None else environment
    layer = Layer("the secret files")
    named = variables.get(FOLDER_VARIABLE)
    if named is None:
        return layer
    if not named.strip():
        layer.problems.append(Problem(f"environment {FOLDER_VARIABLE}", "", "is empty; name a folder, or unset it"))
        return layer
    try:
        # Names with a leading dot are Kubernetes' own: the symbolic links go through ..data.
        files = sorted(path for path in Path(named).iterdir() if not path.name.startswith(".") and path.is_file())
    except (OSError, ValueError) as error:
        problem = Problem(f"environment {FOLDER_VARIABLE}", "", f"is {named!r}: {_reason(error)}")
        layer.problems.append(problem)
        return layer
    for path in files:
        _add_file(layer, model, path)
    return layer


def _add_file(layer: Layer, model: type[BaseModel], path: Path) -> None:
    origin = f"secret file {path}"
    ours = path.name.upper().startswith(PREFIX)
    name = path.name[len(PREFIX) :] if ours else path.name
    keys = resolve(model, name)
    if keys is None:
        if ours or DELIMITER in name:
            meant = nearest(name, [DELIMITER.join(each) for each in paths(model)])
            layer.problems.append(no_such_setting(origin, meant))
        return
    if keys in layer.origins:
        layer.problems.append(Problem(origin, dotted(keys), f"is also set by {layer.origins[keys]}; remove one"))
        return
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        text = content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        layer.problems.append(Problem(origin, dotted(keys), "is not UTF-8 text"))
    except OSError as error:
        layer.problems.append(Problem(origin, dotted(keys), f"cannot be read: {_reason(error)}"))
    else:
        if len(content) > _LARGEST:
            layer.problems.append(Problem(origin, dotted(keys), f"is larger than {_LARGEST} bytes"))
        else:
            add_text(layer, model, keys, text, origin)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)).lower()
