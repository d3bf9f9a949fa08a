"""The demo is a distribution of its own: it is found by its path, installed or not."""

import sys
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.support.demo_programs import DEMO, DemoProgram, Shop
from tests.support.postgres import Postgres, missing, postgres

if str(DEMO) not in sys.path:
    sys.path.insert(0, str(DEMO))


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """A PostgreSQL server for all tests; those that stop it use one of their own."""
    if why := missing():
        pytest.skip(why)
    with postgres() as running:
        yield running


@pytest.fixture
def database_url(server: Postgres, request: pytest.FixtureRequest) -> str:
    """An empty database."""
    return server.database(f"test_{abs(hash(request.node.nodeid)):x}")


@pytest.fixture
def shop(database_url: str) -> Iterator[Shop]:
    """The four services, running."""
    four = Shop(database_url)
    try:
        four.start()
        yield four
    finally:
        four.destroy()


@pytest.fixture
def programs() -> Iterator[list[DemoProgram]]:
    """Programs put in here are ended after the test."""
    started: list[DemoProgram] = []
    yield started
    for program in started:
        program.destroy()


@pytest.fixture
def stock(database_url: str) -> Callable[..., int]:
    """``stock(model)`` tells how many there are of a model, ``stock(model, count)`` sets it."""

    def available(model: str, count: int | None = None) -> int:
        with psycopg.connect(database_url, autocommit=True) as connection:
            if count is not None:
                connection.execute("UPDATE warehouse.items SET available_count = %s WHERE model = %s", (count, model))
            query = "SELECT available_count FROM warehouse.items WHERE model = %s"
            row = connection.execute(query, (model,)).fetchone()
        assert row is not None
        return int(row[0])

    return available
