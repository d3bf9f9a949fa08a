"""Starting without a database, losing it, stopping with a request under way, settings that cannot be."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import psycopg
import pytest

from tests.support.demo_programs import PATIENCE, DemoProgram, environment
from tests.support.postgres import Postgres, missing, postgres

pytestmark = pytest.mark.integration

ITEM = "7a0f5b47-0b5b-4b3c-9a38-9a1a5a1b7c11"
Programs = list[DemoProgram]


@pytest.fixture
def own_server() -> Iterator[Postgres]:
    if why := missing():
        pytest.skip(why)
    with postgres() as server:
        yield server


async def status(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status


async def until(url: str, wanted: int) -> None:
    """Ask until the answer is this status; every question waits for its answer, and the database's are slow to come."""
    async with asyncio.timeout(PATIENCE):
        while await status(url) != wanted:
            await asyncio.sleep(0.05)


async def test_it_waits_for_its_database_and_outlives_its_restart(own_server: Postgres, programs: Programs) -> None:
    url = own_server.database("services")
    own_server.stop()
    warranty = DemoProgram("warranty", {"DATABASE_URL": url})
    programs.append(warranty)
    health = warranty.listening().url + "/manage/health"
    api = f"{warranty.url}/api/v1/warranty/{ITEM}"
    waiting = warranty.event("not there yet")
    assert waiting["level"] == "warning"
    assert await status(health) == 503
    assert await status(health.replace("health", "alive")) == 200
    assert await status(api) == 503

    own_server.start()
    warranty.event("ready")
    assert await status(health) == 200
    assert await status(api) == 404

    own_server.stop()
    await until(health, 503)
    assert await status(api) == 500
    own_server.start()
    await until(health, 200)
    assert await status(api) == 404
    assert warranty.terminate() == 0
    assert own_server.password not in str(warranty.events)


async def test_a_database_whose_data_was_lost_gets_its_schema_anew(own_server: Postgres, programs: Programs) -> None:
    url = own_server.database("lost")
    warranty = DemoProgram("warranty", {"DATABASE_URL": url}).listening()
    programs.append(warranty)
    await until(f"{warranty.url}/manage/health", 200)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA warranty CASCADE")
    api = f"{warranty.url}/api/v1/warranty/{ITEM}"
    assert await status(api) == 500
    assert await status(f"{warranty.url}/manage/health") == 200
    assert await status(api) == 404


async def test_it_stops_while_it_waits(own_server: Postgres, programs: Programs) -> None:
    url = own_server.database("services")
    own_server.stop()
    program = DemoProgram("store", {"DATABASE_URL": url}).listening()
    programs.append(program)
    program.event("not there yet")
    assert program.terminate() == 0


def test_two_copies_start_at_once_and_a_third_finds_the_work_done(
    database_url: str, programs: Programs, tmp_path: Path
) -> None:
    file = tmp_path / "warehouse.database"
    file.write_text(database_url + "\n")
    settings = {"DATABASE_URL_FILE": str(file)}
    programs += [DemoProgram("warehouse", settings) for _ in range(2)]
    for program in programs:
        program.event("ready")
    programs.append(DemoProgram("warehouse", settings))
    programs[-1].event("ready")
    assert [program.terminate() for program in programs] == [0, 0, 0]
    migrated = [event for program in programs for event in program.events if event["message"] == "migrated"]
    assert [event["version"] for event in migrated] == [1, 2]
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT model, size, available_count FROM warehouse.items ORDER BY id").fetchall()
    assert rows == [("Lego 8070", "M", 10000), ("Lego 8880", "L", 10000), ("Lego 42070", "L", 10000)]


def test_a_migration_changed_after_it_was_applied_ends_the_program(database_url: str, programs: Programs) -> None:
    programs.append(DemoProgram("store", {"DATABASE_URL": database_url}))
    programs[0].event("ready")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE store.schema_history SET checksum = 'other' WHERE version = 2")
    programs.append(DemoProgram("store", {"DATABASE_URL": database_url}))
    assert programs[1].ended() == 1
    assert "V2__seed_users.sql" in programs[1].events[-1]["why"]


async def test_a_request_under_way_is_answered_after_sigterm(programs: Programs) -> None:
    books = DemoProgram("book-store", {"SLOW_EVERY": "1", "SLOW_SECONDS": "1"}).listening()
    programs.append(books)
    address = urlsplit(books.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    # 100 Continue is sent as the handler begins: after it the request is certainly under way.
    writer.write(b"GET /api/v1/books HTTP/1.1\r\nHost: book-store\r\nExpect: 100-continue\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    books.process.terminate()
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    assert books.ended() == 0
    assert [event["status"] for event in books.events if event["message"] == "request"] == [200]


async def test_a_client_that_gives_up_is_seen(programs: Programs) -> None:
    books = DemoProgram("book-store", {"SLOW_EVERY": "1", "SLOW_SECONDS": "600"}).listening()
    programs.append(books)
    address = urlsplit(books.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(b"GET /api/v1/books HTTP/1.1\r\nHost: book-store\r\nExpect: 100-continue\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    assert books.event("client went away before the answer")["status"] == 499


@pytest.mark.parametrize(
    ("version", "path", "expected", "body"),
    [
        ("v1", "/api/v1", 200, {"api": "v1", "version": "v1"}),
        ("v1", "/api/v2", 200, {"api": "v2", "version": "v1"}),
        ("v1", "/api/v1/ping", 200, {"message": "pong", "version": "v1"}),
        ("v2", "/api/v1/ping", 200, {"message": "pong", "version": "v2"}),
        ("v1.2-break-ping", "/api/v1/ping", 500, {"message": "ping is broken in this build", "version": "v1.2-break-ping"}),
        ("v1.2-break-ping", "/api/v1", 200, {"api": "v1", "version": "v1.2-break-ping"}),
        ("v1", "/nowhere", 404, {"message": "GET /nowhere: Not Found"}),
        ("v1", "/manage/health", 200, {"status": "UP"}),
        ("v1", "/manage/alive", 200, {"status": "UP"}),
    ],
)  # fmt: skip
async def test_every_answer_of_the_book_store_names_its_build(
    programs: Programs, version: str, path: str, expected: int, body: dict[str, str]
) -> None:
    books = DemoProgram("book-store", {"VERSION": version}).listening()
    programs.append(books)
    async with aiohttp.ClientSession() as session, session.get(books.url + path) as answer:
        assert (answer.status, answer.headers["x-version"]) == (expected, version)
        assert await answer.json() == body


def test_a_wrong_setting_is_one_line_and_64(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "meshwright_demo", "book-store"],
        env=environment({"VERSION": "v3"}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    line = "meshwright-demo book-store: VERSION is 'v3'; allowed: v1, v2, v1.2-break-ping\n"
    assert (done.returncode, done.stdout, done.stderr) == (64, "", line)


def test_a_taken_port_is_one_line_and_1(programs: Programs) -> None:
    first = DemoProgram("book-store", {}).listening()
    programs.append(first)
    done = subprocess.run(
        [sys.executable, "-m", "meshwright_demo", "book-store", "--port", first.url.rsplit(":", 1)[1]],
        env=environment({}),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert "address already in use" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
