"""Bad settings are one clear error: field, source, value, what is allowed. Never a traceback, never a secret."""

import os
import tomllib
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field, SecretStr, field_validator

from orchestrator.contracts import ContractError
from orchestrator.settings import Interval, Seconds, Secret, Section, Settings, SettingsError, load


class Loose(BaseModel):
    """A section that a team wrote without our Section: unknown keys are refused all the same."""

    size: int = 1


class Repository(Section):
    name: str
    interval: Interval = 60.0


class ForgeSection(Section):
    token: Secret | None = None
    tokens: dict[str, SecretStr] = Field(default={})
    url: str = "https://forge.example"
    interval: Interval = 60.0
    wait: Seconds = 0.0
    retries: int = 3
    sizes: tuple[int, int] = (1, 2)
    mode: Literal["fast", "careful"] = "fast"
    tags: list[str] = Field(default=[])
    repositories: list[Repository] = Field(default=[])
    loose: Loose = Loose()

    @field_validator("url")
    @classmethod
    def scheme(cls, url: str) -> str:
        if "://" not in url:
            raise ValueError("it must be a URL")
        return url


class ForgeSettings(Settings):
    forge: ForgeSection = ForgeSection()


class StrictSection(Section):
    token: Secret
    owner: str


class StrictSettings(Settings):
    strict: StrictSection


def problems(
    file: Path | None = None, text: str | None = None, settings: type[Settings] = ForgeSettings, **environment
):
    if file is not None and text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(settings, file, environment=environment)
    return [str(problem) for problem in caught.value.problems]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "app.toml"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[forge]\nintervall = 5", "app.toml:2: forge.intervall is not a setting; did you mean forge.interval?"),
        ("[forgé]", "app.toml:1:6: is not valid TOML"),
        ("[forj]\nx = 1", "app.toml:1: forj is not a setting; did you mean forge?"),
        ("[log]\nsettle = 1", "app.toml:2: log.settle is not a setting; did you mean orchestrator.settle?"),
        ("[log]\nqqq = 1", "app.toml:2: log.qqq is not a setting; allowed here: level, format"),
        ("[forge.loose]\nsise = 2", "app.toml:2: forge.loose.sise is not a setting; did you mean forge.loose.size?"),
        (
            '[[forge.repositories]]\nname = "a"\n[[forge.repositories]]\nname = "b"\nintervals = 1',
            "app.toml:5: forge.repositories[1].intervals is not a setting; "
            "did you mean forge.repositories[1].interval?",
        ),
        (
            '[forge]\nmode = "carefull"',
            "app.toml:2: forge.mode is 'carefull'; it must be 'fast' or 'careful'; did you mean 'careful'?",
        ),
        ("[forge]\nretries = true", "app.toml:2: forge.retries is true; it must be a number"),
        ("[forge]\nsizes = [1, true]", "app.toml:2: forge.sizes[1] is true; it must be a number"),
        ('[forge]\nretries = "many"', "app.toml:2: forge.retries is 'many'; it must be a valid integer"),
        ('[forge]\nurl = "nowhere"', "app.toml:2: forge.url is 'nowhere'; it must be a URL"),
        ("[forge]\ntags = 5", "app.toml:2: forge.tags is 5; it must be an array"),
        ("[forge]\nurl = [1, 2]", "app.toml:2: forge.url is an array of 2; it must be a valid string"),
        ("[forge]\nurl = { a = 1 }", "app.toml:2: forge.url is a table; it must be a valid string"),
        ("forge = 5", "app.toml:1: forge is ********; it must be a table"),
        ("[orchestrator]\nmax_running = 0", "app.toml:2: orchestrator.max_running is 0; it must be greater than"),
        (
            '[orchestrator]\nsplay = "often"',
            "app.toml:2: orchestrator.splay is 'often'; it must be true, false, or seconds as a finite number",
        ),
        ('[log]\nlevel = "loud"', "app.toml:2: log.level is 'loud'; it must be 'debug', 'info'"),
    ],
)
def test_a_wrong_entry_of_the_file_is_named_with_its_line(file: Path, text: str, message: str):
    """Field, file and line, value, what is allowed or was probably meant."""
    found = problems(file, text)

    assert len(found) == 1
    assert found[0].startswith(message)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "true", "-1", "0", "0.0049", '"soon"', "[]", "1979-05-27"])
def test_an_interval_that_no_scheduler_can_keep_is_refused(file: Path, text: str):
    """NaN, infinity, bool, negative, below the scheduler's tick of 0.005 s."""
    found = problems(file, f"[forge]\n\ninterval = {text}")

    assert len(found) == 1
    assert found[0].startswith("app.toml:3: forge.interval is ")
    assert found[0].endswith("; it must be seconds as a finite number, at least 0.005")


@pytest.mark.parametrize("text", ["nan", "inf", "true", "-0.1", "soon"])
def test_seconds_are_refused_from_the_environment_too(text: str):
    """The source is the variable."""
    found = problems(ORCHESTRATOR_FORGE__WAIT=text)

    assert found == [
        f"environment ORCHESTRATOR_FORGE__WAIT: forge.wait is '{text}'; "
        "it must be seconds as a finite number, at least 0"
    ]


def test_the_shortest_interval_and_zero_seconds_are_accepted():
    """The bounds belong to what is allowed."""
    environment = {"ORCHESTRATOR_FORGE__INTERVAL": "0.005", "ORCHESTRATOR_FORGE__WAIT": "0"}

    forge = load(ForgeSettings, environment=environment).forge

    assert (forge.interval, forge.wait) == (0.005, 0.0)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ORCHESTRATOR_FORGE__INTERVALL", "ORCHESTRATOR_FORGE__INTERVAL"),
        ("ORCHESTRATOR_FORGE_INTERVAL", "ORCHESTRATOR_FORGE__INTERVAL"),
        ("ORCHESTRATOR_LOGLEVEL", "ORCHESTRATOR_LOG__LEVEL"),
        ("ORCHESTRATOR_SETTLE", "ORCHESTRATOR_ORCHESTRATOR__SETTLE"),
        ("ORCHESTRATOR_log__level", "ORCHESTRATOR_LOG__LEVEL"),
        ("ORCHESTRATOR_SECRET_DIR", "ORCHESTRATOR_SECRETS_DIR"),
        ("ORCHESTRATOR_FORGE__URL__HOST", "ORCHESTRATOR_FORGE__URL"),
    ],
)
def test_an_unknown_variable_under_our_prefix_is_named_with_the_nearest(name: str, meant: str):
    """A setting that silently does nothing is the worst of errors."""
    found = problems(**{name: "some value"})

    assert found == [f"environment {name}: there is no such setting; did you mean {meant}?"]


def test_a_variable_that_resembles_nothing_is_refused_without_a_guess():
    """A wrong hint is worse than none."""
    found = problems(ORCHESTRATOR_QQQ="some value")

    assert found == [
        "environment ORCHESTRATOR_QQQ: there is no such setting; remove it; `config schema` lists what there is"
    ]


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_an_empty_variable_is_an_error_and_not_an_empty_value(text: str):
    """An unset shell variable on the right side of = must not become a setting."""
    found = problems(ORCHESTRATOR_FORGE__TOKEN=text)

    assert found == [
        "environment ORCHESTRATOR_FORGE__TOKEN: forge.token is empty; give a value, or unset it to use the default"
    ]


def test_an_empty_required_variable_is_one_problem_and_not_two():
    """Empty says it all; that it is missing too is noise."""
    found = problems(settings=StrictSettings, ORCHESTRATOR_STRICT__TOKEN="", ORCHESTRATOR_STRICT__OWNER="me")

    assert len(found) == 1
    assert "is empty" in found[0]


def test_broken_json_in_a_variable_shows_how_to_write_it():
    """Arrays are JSON."""
    found = problems(ORCHESTRATOR_FORGE__TAGS="a,b")

    assert found == [
        'environment ORCHESTRATOR_FORGE__TAGS: forge.tags is not JSON: \'a,b\'; write it as ["one", "two"]'
    ]


def test_what_is_required_is_named_with_the_ways_to_set_it(file: Path):
    """The table's line when it stands there, the section when it does not."""
    found = problems(file, "[strict]\nowner = 'me'", settings=StrictSettings)
    without_section = problems(file, "", settings=StrictSettings)

    assert found == [
        "app.toml:1: strict.token is required and not set; "
        "set it in the file app.toml or in the environment as ORCHESTRATOR_STRICT__TOKEN"
    ]
    assert without_section == ["app.toml: strict is required and not set; add the section [strict] with token, owner"]


def test_all_problems_of_all_sources_come_at_once(file: Path):
    """Nobody wants to start a service five times to find five typing errors."""
    text = '[forge]\nintervall = 5\ninterval = nan\nretries = "x"\n'

    found = problems(file, text, ORCHESTRATOR_FORGE__TAGS="x", ORCHESTRATOR_LOGLEVEL="x")

    assert len(found) == 5


def test_the_report_has_one_line_for_each_problem(file: Path):
    """And it is a ContractError, which the command line knows to be a user's."""
    file.write_text('[forge]\ninterval = nan\nurl = "a\\nforged: line"\n')

    with pytest.raises(ContractError) as caught:
        load(ForgeSettings, file, environment={})

    lines = str(caught.value).splitlines()
    assert lines[0] == "the settings are not valid, 2 problems:"
    assert len(lines) == 3
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("[log]\nlevel = = 5", "app.toml:2:9", "Invalid value"),
        ("[log]\nlevel = 'info'\nlevel = 'debug'", "app.toml:3:", "a key or table stands there twice"),
        ("[log]\n[forge]\n[log]", "app.toml:3:", "a key or table stands there twice"),
        ("[log", "app.toml", "is not valid TOML"),
        ("level", "app.toml", "is not valid TOML"),
        ("x = " + "[" * 5000, "app.toml", "nested too deep"),
        ("x = " + "9" * 5000, "app.toml", "is not valid TOML"),
    ],
)
def test_broken_toml_is_named_with_line_and_column(file: Path, text: str, place: str, what: str):
    """What the parser saw, and where."""
    found = problems(file, text)

    assert len(found) == 1
    assert found[0].startswith(place)
    assert what in found[0]


def test_a_broken_file_does_not_hide_what_is_wrong_with_the_environment(file: Path):
    """But what only the file can give is not reported as missing."""
    found = problems(file, "[", settings=StrictSettings, ORCHESTRATOR_LOG__LEVEL="loud")

    assert len(found) == 2
    assert "is not valid TOML" in found[0]
    assert found[1].startswith("environment ORCHESTRATOR_LOG__LEVEL: log.level is 'loud'")


def test_a_file_that_is_none_says_what_it_is(file: Path, tmp_path: Path):
    """Missing, a directory, not UTF-8, UTF-16, a path that cannot be."""
    (tmp_path / "latin.toml").write_bytes("x = 1\nname = 'é'\n".encode("latin-1"))
    (tmp_path / "wide.toml").write_bytes("x = 1".encode("utf-16"))

    assert problems(file)[0].startswith("app.toml: there is no such file")
    assert problems(tmp_path)[0].endswith("is a directory; give the file in it")
    assert problems(tmp_path / "latin.toml") == ["latin.toml: is not UTF-8 text: byte 14 on line 2; save it as UTF-8"]
    assert problems(tmp_path / "wide.toml") == ["wide.toml: is not UTF-8 text: it is UTF-16; save it as UTF-8"]
    assert "cannot be read" in problems(Path("a\x00b"))[0]
    assert problems(file / "x" / "y")[0].startswith("app.toml/x/y: there is no such file")


def test_a_file_that_may_not_be_read_says_so(file: Path):
    """Permissions are the remedy. Root may read everything, so it becomes nobody for the moment of reading."""
    file.write_text("")
    file.chmod(0)
    user, nobody = os.geteuid(), 65534

    try:
        if user == 0:
            os.seteuid(nobody)
        found = problems(file)
    finally:
        os.seteuid(user)

    assert found == ["app.toml: may not be read by this user; change its permissions"]


def test_an_endless_file_is_not_read_to_its_end():
    """A device given by mistake does not fill the memory."""
    assert "is larger than" in problems(Path("/dev/zero"))[0]


def test_the_folder_of_secrets_has_to_be_one(tmp_path: Path):
    """Missing, a file, empty: one clear error."""
    (tmp_path / "file").write_text("")

    missing = problems(ORCHESTRATOR_SECRETS_DIR=str(tmp_path / "none"))
    a_file = problems(ORCHESTRATOR_SECRETS_DIR=str(tmp_path / "file"))
    empty = problems(ORCHESTRATOR_SECRETS_DIR="")

    assert missing[0].endswith("no such file or directory")
    assert a_file[0].endswith("not a directory")
    assert empty == ["environment ORCHESTRATOR_SECRETS_DIR: is empty; name a folder, or unset it"]


def test_a_wrong_secret_file_is_named_and_its_content_is_not(tmp_path: Path):
    """Unknown, empty, not text, and one that is set twice."""
    (tmp_path / "forge__tokn").write_text("hunter22")
    (tmp_path / "forge__interval").write_text("hunter33")
    (tmp_path / "forge__url").write_text("\n")
    (tmp_path / "forge__mode").write_bytes(b"\xff\xfe")
    (tmp_path / "forge__token").write_text("a")
    (tmp_path / "ORCHESTRATOR_FORGE__TOKEN").write_text("b")

    found = problems(ORCHESTRATOR_SECRETS_DIR=str(tmp_path))

    named = {line.split(": ")[0].rsplit("/", 1)[-1]: line for line in found}
    assert "did you mean forge__token?" in named["forge__tokn"]
    assert "seconds as a finite number" in named["forge__interval"]
    assert "forge.url is empty" in named["forge__url"]
    assert "is not UTF-8 text" in named["forge__mode"]
    assert "is also set by secret file" in named["forge__token"]
    assert "hunter22" not in str(found)


@pytest.mark.parametrize("text", ["two\nlines", "nul\x00inside", "tab\tinside", "escape\x1b[31m"])
def test_a_secret_is_one_line_of_text(text: str):
    """A broken secret fails here and not as a strange HTTP error; it is not shown."""
    found = problems(ORCHESTRATOR_FORGE__TOKEN=text)

    assert len(found) == 1
    assert found[0].startswith("environment ORCHESTRATOR_FORGE__TOKEN: forge.token is ********; it must be one line")
    assert "inside" not in found[0]


def test_a_secret_of_a_wrong_type_is_masked(file: Path):
    """Also inside a table of secrets, and in a whole section that was given as text."""
    number = problems(file, "[forge]\ntoken = 48151623")
    in_table = problems(file, "[forge.tokens]\nmain = 48151623")
    section = problems(file, 'forge = "ghp_48151623"')

    for found in (number, in_table, section):
        assert len(found) == 1
        assert "48151623" not in found[0]
        assert "********" in found[0]


def test_the_value_of_an_unknown_key_is_not_shown(file: Path):
    """It may be a secret whose name has a typing error."""
    assert "hunter22" not in str(problems(file, '[forge]\ntokn = "hunter22"'))
    assert "hunter22" not in str(problems(ORCHESTRATOR_FORGE__TOKN="hunter22"))


def test_a_url_is_shown_without_its_userinfo(file: Path):
    """The rest of a wrong value still helps."""
    found = problems(file, '[forge]\nmode = "https://me:p@ss/word@host/path"')

    assert "https://********@host/path" in found[0]
    assert "word@" not in found[0]


def test_the_files_of_this_test_are_what_they_claim():
    """The duplicate key is refused by the parser itself: it is not us who would have to notice."""
    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads("a = 1\na = 2")
