"""Which service, which config file, and what is said when there is none."""

import sys

import pytest

from orchestrator.cli.locate import LocateError, Named, load_service, locate


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty current folder whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def project(folder, text):
    """Write the project file."""
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")


BOTH = '[tool.orchestrator]\nservice = "a.b:C"\nconfig = "a.toml"\n'


def test_an_option_beats_a_variable_beats_the_project(here):
    """The nearest word wins."""
    project(here, BOTH)
    for name in ("a.toml", "b.toml", "c.toml"):
        (here / name).touch()
    environ = {"ORCHESTRATOR_SERVICE": "v:V", "ORCHESTRATOR_CONFIG": "b.toml"}

    by_option = locate("o:O", "c.toml", environ)
    by_variable = locate(None, None, environ)
    by_project = locate(None, None, {})

    assert (by_option.service, str(by_option.config)) == (Named("o:O", "--service"), "c.toml")
    assert (by_variable.service, str(by_variable.config)) == (Named("v:V", "ORCHESTRATOR_SERVICE"), "b.toml")
    assert (by_project.service, str(by_project.config)) == (Named("a.b:C", "pyproject.toml"), "a.toml")


def test_the_projects_config_belongs_to_the_projects_service(here):
    """Another service does not get it, the same one named elsewhere does."""
    project(here, BOTH)
    (here / "a.toml").touch()

    assert locate("other:Other", None, {}).config is None
    assert str(locate("a.b:C", None, {}).config) == "a.toml"


def test_an_empty_variable_is_no_variable(here):
    """As unset ones often are in deployments."""
    project(here, '[tool.orchestrator]\nservice = "a.b:C"\n')

    found = locate(None, None, {"ORCHESTRATOR_SERVICE": "", "ORCHESTRATOR_CONFIG": ""})

    assert found.service.source == "pyproject.toml"
    assert found.config is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[tool.orchestrator\n", "cannot be read"),
        ('[tool.orchestrator]\nservic = "a:B"\n', "unknown key 'servic'; did you mean 'service'?"),
        ("[tool.orchestrator]\nservice = 3\n", "service in ./pyproject.toml is 3; give a text"),
        ("[tool]\norchestrator = 3\n", "is not a table"),
        ("", "no service is named"),
    ],
)
def test_a_project_file_that_does_not_help_is_told(here, text, why):
    """One clear error each."""
    project(here, text)

    with pytest.raises(LocateError) as caught:
        locate(None, None, {})

    assert why in str(caught.value)


@pytest.mark.parametrize(("config", "why"), [("no.toml", "does not exist"), (".", "is a folder")])
def test_a_config_file_that_is_none_is_told_with_its_source(config, why):
    """The user sees who named it."""
    with pytest.raises(LocateError, match=why) as caught:
        locate("a:B", None, {"ORCHESTRATOR_CONFIG": config})

    assert "from ORCHESTRATOR_CONFIG" in str(caught.value)


@pytest.mark.parametrize("text", ["tiny", "tiny:", ":Tiny", "a-b:C", "a..b:C", "a:b.C", "a:b:c", " a:B"])
def test_a_text_of_another_form_is_refused_with_an_example(text):
    """Module, colon, class."""
    with pytest.raises(LocateError, match=r"domain\.github:Github"):
        load_service(Named(text, "--service"))


def test_a_missing_module_is_told_from_an_import_that_fails_inside(here):
    """The first is a typo in the name, the second a fault in the code."""
    (here / "inner_fault.py").write_text("import os\nimport not_installed_anywhere\n", encoding="utf-8")

    with pytest.raises(LocateError) as missing:
        load_service(Named("not_here:X", "--service"))
    with pytest.raises(LocateError) as inner:
        load_service(Named("inner_fault:X", "--service"))

    assert "there is no module 'not_here'" in str(missing.value)
    assert "No module named 'not_installed_anywhere'" in str(inner.value)
    assert "inner_fault.py:2)" in str(inner.value)


@pytest.mark.parametrize(
    ("source", "why"),
    [("x = 1\nx ==== 2\n", "SyntaxError: invalid syntax"), ("x = 1\n1 / 0\n", "ZeroDivisionError: division by zero")],
)
def test_a_module_that_cannot_be_imported_is_told_in_one_line_with_its_place(here, source, why):
    """File and line, no traceback."""
    (here / "faulty.py").write_text(source, encoding="utf-8")

    with pytest.raises(LocateError) as caught:
        load_service(Named("faulty:X", "--service"))

    assert why in str(caught.value)
    assert "faulty.py:2)" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("attribute", "why"),
    [
        ("Tyni", "has no 'Tyni'; did you mean 'Tiny'?"),
        ("Zzz", "has no 'Zzz'; its services: Tiny"),
        ("helper", "'helper' is a function, not a subclass of orchestrator.Service; its services: Tiny"),
        ("Service", "is the skeleton itself"),
    ],
)
def test_an_attribute_that_is_no_service_is_told_with_the_nearest(folder, attribute, why):
    """Services of the module are offered first."""
    with (folder / "tiny.py").open("a", encoding="utf-8") as file:
        file.write("\n\ndef helper(): ...\n")

    with pytest.raises(LocateError) as caught:
        load_service(Named(f"tiny:{attribute}", "--service"))

    assert why in str(caught.value)


def test_a_service_of_the_current_folder_is_loaded(folder):
    """The folder need not be on the path."""
    service = load_service(Named("tiny:Tiny", "--service"))

    assert service.name == "tiny"


def test_a_service_that_its_module_loads_on_demand_is_offered_too(here):
    """``__all__`` names what the module would load when asked."""
    (here / "lazy.py").write_text('__all__ = ["Github"]\n', encoding="utf-8")

    with pytest.raises(LocateError, match=r"has no 'Githu'; did you mean 'Github'\?"):
        load_service(Named("lazy:Githu", "--service"))
