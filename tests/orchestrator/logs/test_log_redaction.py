"""A registered secret is in no line, however it got there."""

import io
import json
import logging

from hypothesis import assume, given
from hypothesis import strategies as st

from orchestrator.logs import MASK, ConsoleFormatter, JsonFormatter, RedactingFilter, Redactor

SECRETS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=4, max_size=30)


def lines_about(secret: str, redactor: Redactor) -> list[str]:
    """Both formats of one record that says *secret* in every place a caller has."""
    lines = []
    for formatter in (JsonFormatter("svc"), ConsoleFormatter()):
        try:
            raise ValueError(f"bad password {secret!r} or {secret}")
        except ValueError as error:
            info = (type(error), error, None)
        made = logging.LogRecord("x", logging.ERROR, "x.py", 1, f"a {secret} b %s %r", (secret, [secret]), info)
        made.created = 0
        made.url = f"https://me:{secret}@host"
        made.body = {"deep": [{"deeper": secret}], secret: 1}
        made.thing = {secret}
        made.raw = json.dumps({"token": secret})
        made.stack_info = f"stack {secret}"
        RedactingFilter(redactor).filter(made)
        lines.append(formatter.format(made))
    return lines


@given(SECRETS)
def test_a_secret_is_nowhere_in_a_line(secret: str):
    """Message, arguments, extra fields at any depth, traceback, stack, and as repr and JSON spell it."""
    harmless = "".join(lines_about("\u2603\u2603\u2603\u2603", Redactor(["\u2603\u2603\u2603\u2603"])))
    spelled = {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]}
    assume(not any(spelling in harmless for spelling in spelled))

    lines = lines_about(secret, Redactor([secret]))

    assert not any(spelling in line for spelling in spelled for line in lines)
    assert all(MASK in line for line in lines)


@given(st.lists(SECRETS.filter(lambda text: text.strip("*")), max_size=4), st.lists(st.text(max_size=8), max_size=5))
def test_no_secret_survives_in_any_text_around_it(secrets: list[str], around: list[str]):
    """Also when secrets overlap, contain one another or hold stars."""
    redactor = Redactor(secrets)
    text = "".join(part + secret for part, secret in zip(around, [*secrets, ""], strict=False))

    redacted = redactor(text)

    assert redacted == MASK or not any(secret in redacted for secret in secrets)
    assert redacted == text or any(secret in text for secret in redactor.known)


def test_a_word_shorter_than_four_letters_is_not_looked_for():
    """It would take ordinary words to pieces."""
    assert Redactor(["a", "the"])("the cat sat") == "the cat sat"


def test_secrets_registered_later_count_as_well():
    """A token that is renewed while the service runs."""
    redactor = Redactor(["first-token"])

    redactor.register(["second-token", "\n"])

    assert redactor("first-token second-token") == f"{MASK} {MASK}"


def test_a_url_encoded_secret_is_found():
    """As a client logs the request's query."""
    assert "p%40ss" not in Redactor(["p@ss w/rd"])("GET /?q=p%40ss%20w%2Frd and p%40ss+w%2Frd")


def test_a_record_without_a_secret_is_left_alone():
    """Other handlers see the very objects that were logged."""
    thing = object()
    made = logging.LogRecord("x", logging.INFO, "x.py", 1, "hello %s", (thing,), None)
    made.thing = thing

    passes = RedactingFilter(Redactor(["hunter22"])).filter(made)

    assert passes is True
    assert made.args == (thing,)
    assert vars(made)["thing"] is thing


def test_handlers_that_come_later_see_no_secret_either():
    """The record itself is cleaned."""
    first, second = logging.StreamHandler(io.StringIO()), logging.StreamHandler(io.StringIO())
    first.addFilter(RedactingFilter(Redactor(["hunter22"])))
    logger = logging.getLogger("test_log_redaction")
    logger.propagate = False
    logger.addHandler(first)
    logger.addHandler(second)

    try:
        raise ValueError("no hunter22 here")
    except ValueError:
        logger.exception("with %s", "hunter22")

    assert "hunter22" not in first.stream.getvalue() + second.stream.getvalue()
    assert "ValueError: no ******** here" in second.stream.getvalue()
