"""Settings: what they are by default, and the one error that a wrong one gives."""

from pathlib import Path

import pytest
from meshwright_demo.settings import PROGRAMS, SettingError, read

DATABASE = {"DATABASE_URL": "postgresql://program:hush@postgres:5432/services"}


def test_defaults() -> None:
    store = read("store", DATABASE)
    assert (store.bind, store.port, store.call_seconds) == ("127.0.0.1", 8480, 30.0)
    assert store.urls == {
        "order": "http://order:8380",
        "warehouse": "http://warehouse:8280",
        "warranty": "http://warranty:8180",
    }
    books = read("book-store", {})
    assert (books.port, books.version, books.slow_every, books.slow_seconds) == (8080, "v1", 5, 20.0)


@pytest.mark.parametrize("program", PROGRAMS)
def test_only_what_a_program_uses_is_checked(program: str) -> None:
    environ = {**DATABASE, "BOOK_STORE_URL": "x", "VERSION": "v1" if program == "book-store" else "v9"}
    assert read(program, environ).program == program


@pytest.mark.parametrize(
    ("program", "environ", "error"),
    [
        ("store", {"PORT": "abc"}, "PORT is 'abc'; allowed: a whole number from 0 to 65535"),
        ("store", {"PORT": "65536"}, "PORT is '65536'; allowed: a whole number from 0 to 65535"),
        ("store", {"PORT": "²"}, "PORT is '²'; allowed: a whole number from 0 to 65535"),
        ("store", {"BIND": ""}, "BIND is ''; allowed: an address or a host name"),
        ("store", {"ORDER_URL": "order:8380"}, "ORDER_URL is 'order:8380'; allowed: http://HOST[:PORT]"),
        ("store", {"ORDER_URL": "http://order:x"}, "ORDER_URL is 'http://order:x'; allowed: http://HOST[:PORT]"),
        ("store", {"ORDER_URL": "http://order?a=b"}, "ORDER_URL is 'http://order?a=b'; allowed: http://HOST[:PORT]"),
        ("store", {"CALL_SECONDS": "nan"}, "CALL_SECONDS is 'nan'; allowed: seconds from 0 to 600"),
        ("store", {"DATABASE_URL": ""}, "DATABASE_URL is not set; allowed: postgresql://"),
        ("store", {"DATABASE_URL": "hush"}, "DATABASE_URL is '(not shown: it may hold a password)'"),
        ("store", {"DATABASE_URL_FILE": "/nowhere"}, "DATABASE_URL_FILE is '/nowhere'; allowed: a readable file"),
        ("book-store", {"VERSION": "v3"}, "VERSION is 'v3'; allowed: v1, v2, v1.2-break-ping"),
        ("book-store", {"SLOW_EVERY": "-1"}, "SLOW_EVERY is '-1'; allowed: a whole number from 0 to 1000000"),
        ("book-store", {"SLOW_SECONDS": "long"}, "SLOW_SECONDS is 'long'; allowed: seconds from 0 to 3600"),
    ],
)
def test_errors(program: str, environ: dict[str, str], error: str) -> None:
    with pytest.raises(SettingError) as caught:
        read(program, {**DATABASE, **environ})
    assert str(caught.value).startswith(error)
    assert "hush" not in str(caught.value)


def test_the_file_wins_and_neither_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "database"
    file.write_text("postgresql://program:whisper@other/services\n")
    settings = read("order", {**DATABASE, "DATABASE_URL_FILE": str(file)})
    assert settings.database_url == "postgresql://program:whisper@other/services"
    assert "whisper" not in repr(settings)


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "database"
    file.touch()
    with pytest.raises(SettingError, match=r"DATABASE_URL_FILE \(.*database\) is not set"):
        read("order", {"DATABASE_URL_FILE": str(file)})
