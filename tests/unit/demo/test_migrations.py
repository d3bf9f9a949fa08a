"""The files of each schema, and which of them are still to apply."""

import pytest
from meshwright_demo.migrations import Migration, MigrationError, load, pending
from meshwright_demo.settings import PROGRAMS

ONE, TWO = Migration(1, "create", "CREATE"), Migration(2, "seed", "INSERT")


@pytest.mark.parametrize("schema", sorted(program.schema for program in PROGRAMS.values() if program.schema))
def test_every_schema_has_its_files(schema: str) -> None:
    assert [migration.version for migration in load(schema)] == list(range(1, len(load(schema)) + 1))
    assert load(schema)[0].text.startswith("CREATE TABLE")


@pytest.mark.parametrize(
    ("applied", "expected"),
    [
        ([], [ONE, TWO]),
        ([(1, ONE.checksum)], [TWO]),
        ([(1, ONE.checksum), (2, TWO.checksum)], []),
        ([(1, ONE.checksum), (2, TWO.checksum), (3, "of a newer release")], []),
    ],
)
def test_pending(applied: list[tuple[int, str]], expected: list[Migration]) -> None:
    assert list(pending([ONE, TWO], applied)) == expected


def test_a_changed_file_is_named() -> None:
    with pytest.raises(MigrationError, match=r"V1__create\.sql was changed"):
        pending([ONE, TWO], [(1, TWO.checksum)])
