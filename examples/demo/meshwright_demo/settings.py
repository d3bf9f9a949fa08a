"""Settings from the environment, read and checked once, before anything is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import ProgrammingError

BREAK_PING = "v1.2-break-ping"
VERSIONS = ("v1", "v2", BREAK_PING)
"""The builds of the book store; the last one answers 500 on ping."""


@dataclass(frozen=True, slots=True)
class Program:
    """What a program needs: the port it has by default, the services it calls, the schema it keeps its data in."""

    port: int
    calls: tuple[str, ...] = ()
    schema: str | None = None


PROGRAMS: Mapping[str, Program] = {
    "store": Program(8480, ("order", "warehouse", "warranty"), "store"),
    "order": Program(8380, ("warehouse", "warranty"), "orders"),
    "warehouse": Program(8280, ("warranty",), "warehouse"),
    "warranty": Program(8180, (), "warranty"),
    "book-store": Program(8080),
}


class SettingError(Exception):
    """A setting that cannot be used; the text names the variable, its value and what is allowed."""

    def __init__(self, variable: str, value: str | None, allowed: str) -> None:
        found = "is not set" if value is None else f"is {value!r}"
        super().__init__(f"{variable} {found}; allowed: {allowed}")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a program is told."""

    program: str
    bind: str
    port: int
    """0: any free port, which the log names."""
    drain_seconds: float
    """How long a stopping program lets requests finish."""
    urls: Mapping[str, str]
    """Base URL of each service that it calls, without a slash at the end."""
    call_seconds: float
    """How long a call of another service may take."""
    database_url: str = field(repr=False)
    """Empty for a program without a database. It holds the password: never shown."""
    version: str
    slow_every: int
    """Every so many requests for the books one is slow; 0: none."""
    slow_seconds: float


def read(program: str, environ: Mapping[str, str]) -> Settings:
    """The settings of a program. Raises :class:`SettingError`."""
    needs = PROGRAMS[program]
    values = _Values(environ)
    books = program == "book-store"
    return Settings(
        program=program,
        bind=values.text("BIND", "127.0.0.1"),
        port=values.integer("PORT", needs.port, 0, 65535),
        drain_seconds=values.seconds("DRAIN_SECONDS", 5.0, 300.0),
        urls={name: values.url(f"{name.upper()}_URL", f"http://{name}:{PROGRAMS[name].port}") for name in needs.calls},
        call_seconds=values.seconds("CALL_SECONDS", 30.0, 600.0) if needs.calls else 0.0,
        database_url=values.database_url() if needs.schema else "",
        version=values.choice("VERSION", VERSIONS) if books else "",
        slow_every=values.integer("SLOW_EVERY", 5, 0, 1_000_000) if books else 0,
        slow_seconds=values.seconds("SLOW_SECONDS", 20.0, 3600.0) if books else 0.0,
    )


@dataclass(frozen=True, slots=True)
class _Values:
    environ: Mapping[str, str]

    def text(self, variable: str, default: str) -> str:
        value = self.environ.get(variable, default)
        if not value:
            raise SettingError(variable, value, "an address or a host name")
        return value

    def integer(self, variable: str, default: int, least: int, most: int) -> int:
        value = self.environ.get(variable, str(default))
        if not (value.isascii() and value.isdigit() and least <= int(value) <= most):
            raise SettingError(variable, value, f"a whole number from {least} to {most}")
        return int(value)

    def seconds(self, variable: str, default: float, most: float) -> float:
        value = self.environ.get(variable, str(default))
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 <= number <= most:  # also refuses nan
            raise SettingError(variable, value, f"seconds from 0 to {most:g}")
        return number

    def choice(self, variable: str, allowed: tuple[str, ...]) -> str:
        value = self.environ.get(variable, allowed[0])
        if value not in allowed:
            raise SettingError(variable, value, ", ".join(allowed))
        return value

    def url(self, variable: str, default: str) -> str:
        value = self.environ.get(variable, default)
        allowed = "http://HOST[:PORT] with an optional path"
        try:
            parts = urlsplit(value)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # a port that is no number, or a broken IPv6 address
            usable = None
        if not usable or parts.query or parts.fragment:
            raise SettingError(variable, value, allowed)
        return value.rstrip("/")

    def database_url(self) -> str:
        """``DATABASE_URL``, or the first line of the file named by ``DATABASE_URL_FILE``, which wins."""
        file = self.environ.get("DATABASE_URL_FILE")
        variable, url = "DATABASE_URL", self.environ.get("DATABASE_URL", "")
        if file is not None:
            variable = f"DATABASE_URL_FILE ({file})"
            try:
                url = Path(file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingError("DATABASE_URL_FILE", file, f"a readable file with a URL ({error})") from None
        allowed = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE (or give a file of that in DATABASE_URL_FILE)"
        if not url:
            raise SettingError(variable, None, allowed)
        try:
            conninfo_to_dict(url)
        except ProgrammingError:
            # Neither the value nor libpq's text, which repeats it: both may hold the password.
            raise SettingError(variable, "(not shown: it may hold a password)", allowed) from None
        return url
