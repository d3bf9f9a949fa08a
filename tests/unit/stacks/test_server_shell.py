"""What stands for a shell in the database's image: commands of initdb, and nothing else."""

import re

import pytest

from stacks.images.server_shell import read

POSTGRES = "/usr/lib/postgresql/15/bin/postgres"


@pytest.mark.parametrize(
    ("command", "words", "redirections"),
    [
        (f'"{POSTGRES}" -V', [POSTGRES, "-V"], []),
        (
            f'"{POSTGRES}" --check -F -c max_connections=100 < "/dev/null" > "/dev/null" 2>&1',
            [POSTGRES, "--check", "-F", "-c", "max_connections=100"],
            [(0, None), (1, None), (2, 1)],
        ),
        (
            f'"{POSTGRES}" --single -F -O -j -c search_path=pg_catalog template1 >/dev/null',
            [POSTGRES, "--single", "-F", "-O", "-j", "-c", "search_path=pg_catalog", "template1"],
            [(1, None)],
        ),
    ],
)
def test_commands_of_initdb_are_read(
    command: str, words: list[str], redirections: list[tuple[int, int | None]]
) -> None:
    assert read(command) == (words, redirections)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("/usr/bin/python3 -c pass", "programs are those below /usr/lib/postgresql/ alone"),
        ("/usr/lib/postgresql/../../bin/python3", "programs are those below"),
        ("", "programs are those below"),
        (f"{POSTGRES} -V; /usr/bin/python3", "';' is not taken"),
        (f"{POSTGRES} | cat", "'|' is not taken"),
        (f"{POSTGRES} && true", "'&&' is not taken"),
        (f"{POSTGRES} > /tmp/file", "files are /dev/null alone"),
        (f"{POSTGRES} >> /dev/null", "'>>' is not taken"),
        (f"{POSTGRES} 3>&1", "of >& there is 2>&1 alone"),
        (f"{POSTGRES} 'open", "No closing quotation"),
    ],
)
def test_all_else_is_refused(command: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        read(command)
