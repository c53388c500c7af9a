"""The facade: every public name is there, is what it says, and costs nothing until it is used."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

import longrun


def test_every_public_name_is_loaded_when_it_is_asked_for() -> None:
    """``__all__`` and reality are the same."""
    missing = [name for name in longrun.__all__ if getattr(longrun, name, None) is None]

    assert not missing
    assert set(longrun.__all__) <= set(dir(longrun))


def test_no_public_function_or_class_is_hidden_by_a_module_of_its_name() -> None:
    """Importing ``longrun.x`` binds ``longrun.x``: a public name that is no module must not have one beside it."""
    modules = {module.name for module in pkgutil.iter_modules(longrun.__path__)}
    meant = {name for name in longrun.__all__ if getattr(longrun, name).__class__.__name__ == "module"}

    assert modules & set(longrun.__all__) == meant


def test_a_name_that_is_not_there_says_so() -> None:
    """As any module does."""
    with pytest.raises(AttributeError, match="module 'longrun' has no attribute 'retires'"):
        _ = longrun.retires


def test_importing_longrun_imports_neither_anyio_nor_logging() -> None:
    """Whoever only asks for the version pays for nothing else."""
    code = "import sys, longrun; print(sorted({'anyio', 'logging', 'dataclasses'} & set(sys.modules)))"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"
    assert importlib.import_module("longrun") is longrun
