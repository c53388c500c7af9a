"""Which server, database and schema a URL means, by libpq's own rules."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import quote, unquote

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from orchestrator.sql.errors import DatabaseUrlError
from orchestrator.sql.url import DEFAULT_SCHEMA, POSTGRES_SCHEMES, without_password

_EXAMPLE = "use postgresql://user@host:5432/database?schema=workflow"

#: How soon a silent network is found out: about a minute when idle, half a minute when something was sent.
_KEEPALIVE = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}

_HOST = re.compile(r"(\[[^\[\]@]*\]|[^\[\]:@]*)(:\d*)?")

_LONGEST_NAME = 63  # bytes; PostgreSQL cuts off what is beyond, and two names become one


@dataclass(frozen=True)
class Target:
    """A database of a server and a *schema* in it. *where* is what errors print: resolved, without the password."""

    parameters: Mapping[str, str] = field(repr=False)
    schema: str
    where: str

    @classmethod
    def of(cls, url: str) -> Self:
        """What *url* means. Environment, password and service files count as they do for libpq.

        Raises DatabaseUrlError.
        """
        shown = without_password(url)
        scheme, found, rest = url.partition("://")
        if not found or scheme.lower() not in POSTGRES_SCHEMES:
            raise DatabaseUrlError(f"the database URL {shown!r} does not name PostgreSQL; {_EXAMPLE}", shown)
        credentials, place, options = _split(rest)
        if not _is_place(place):
            raise DatabaseUrlError(
                f"the database URL {shown!r} cannot be understood: what follows user and password is no "
                "host:port/database; percent-encode what is special in a password or a name (@ is %40, / is %2F, "
                f": is %3A); {_EXAMPLE}",
                shown,
            )
        schema = _schema(options, shown)
        kept = "&".join(f"{key}={value}" for key, value in options if unquote(key) not in ("schema", "search_path"))
        try:
            parsed = conninfo_to_dict(f"postgresql://{credentials}{place}{'?' if kept else ''}{kept}")
        except (psycopg.Error, UnicodeError) as error:
            said = _without_secrets(str(error), {key for key, _ in options if re.fullmatch("[a-z_]+", key)})
            raise DatabaseUrlError(
                f"the database URL {shown!r} cannot be understood: {said}; {_EXAMPLE}", shown
            ) from None
        given = {key: str(value) for key, value in parsed.items() if value is not None}
        if "search_path" in given.get("options", ""):
            raise DatabaseUrlError(
                f"the database URL {shown!r} sets search_path in its options; name the schema with ?schema= instead",
                shown,
            )
        return cls(_KEEPALIVE | given, schema, _where(given, schema))


def quoted(name: str) -> str:
    """*name* as an SQL identifier."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def checked_name(name: str, what: str) -> str:
    """*name*, when PostgreSQL can keep it whole. ValueError otherwise; *what* it names is in the message."""
    if not name or "\0" in name:
        raise ValueError(f"{what} is {name!r}; give a name of 1 to {_LONGEST_NAME} bytes")
    if len(name.encode()) > _LONGEST_NAME:
        raise ValueError(
            f"{what} is {name!r}, which takes {len(name.encode())} bytes; at most {_LONGEST_NAME} are kept"
        )
    return name


def _split(rest: str) -> tuple[str, str, list[tuple[str, str]]]:
    # As libpq does it: a question mark in front of the @ belongs to the user or the password.
    ahead = re.match(r"[^@/]*@", rest)
    start = ahead.end() if ahead is not None else 0
    place, _, query = rest[start:].partition("?")
    pairs = (option.partition("=") for option in query.split("&") if option)
    return rest[:start], place, [(key, value) for key, _, value in pairs]


def _is_place(place: str) -> bool:
    # Stricter than libpq, which takes the rest of an unencoded password for a host, a port or a database.
    hosts, _, database = place.partition("/")
    return not re.search("[@/]", database) and all(_HOST.fullmatch(host) for host in hosts.split(","))


def _schema(options: list[tuple[str, str]], shown: str) -> str:
    named = [(unquote(key), unquote(value)) for key, value in options if unquote(key) in ("schema", "search_path")]
    if len(named) > 1:
        raise DatabaseUrlError(
            f"the database URL {shown!r} names its schema {len(named)} times ({', '.join(key for key, _ in named)}); "
            "keep one ?schema=",
            shown,
        )
    if not named:
        return DEFAULT_SCHEMA
    ((key, name),) = named
    if key == "search_path":
        if "," in name:
            raise DatabaseUrlError(
                f"the database URL {shown!r} has several schemas in search_path ({name!r}); name one with ?schema=",
                shown,
            )
        name = name.strip()
        name = name[1:-1].replace('""', '"') if len(name) > 1 and name[0] == name[-1] == '"' else name.lower()
    try:
        checked_name(name, "the schema")
    except ValueError as error:
        raise DatabaseUrlError(f"the database URL {shown!r}: {error}", shown) from None
    if "%" in name:  # where the driver's own marks begin, in each statement that names the schema
        raise DatabaseUrlError(
            f"the database URL {shown!r} names the schema {name!r}, with a percent sign; take another", shown
        )
    if name.startswith("pg_") or name == "information_schema":
        raise DatabaseUrlError(
            f"the database URL {shown!r} names the server's own schema {name!r}; take another", shown
        )
    return name


def _where(given: Mapping[str, str], schema: str) -> str:
    defaults = {option.keyword.decode(): option.val for option in pq.Conninfo.get_defaults()}

    def value(key: str) -> str:
        default = defaults.get(key)
        return given.get(key) or ("" if default is None else default.decode(errors="replace"))

    user = value("user")
    hosts = (value("host") or value("hostaddr") or "localhost").split(",")
    ports = (value("port") or "5432").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    places = ",".join(f"{_host(host)}:{port}" for host, port in zip(hosts, ports, strict=False))
    database = quote(value("dbname") or user, safe="")
    service = f"&service={quote(given['service'])}" if "service" in given else ""
    return f"postgresql://{quote(user, safe='')}@{places}/{database}?schema={quote(schema, safe='')}{service}"


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _without_secrets(message: str, known: set[str]) -> str:
    # libpq quotes what it stumbled over, which may be a piece of the password.
    said, _, quotation = message.partition('"')
    name = quotation.partition('"')[0]
    return f'{said}"{name}"' if name in known else said.strip(" :")
