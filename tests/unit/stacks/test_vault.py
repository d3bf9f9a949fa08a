"""The secrets of an environment are made once, and a wrong password is told with the mend."""

import stat
from pathlib import Path

import pytest

from stacks import vault


def test_missing_secrets_are_made_once_and_privately(tmp_path: Path) -> None:
    key = tmp_path / "ssh" / "id"
    assert len(vault.ensure(tmp_path, "local", key)) == 3
    secrets = vault.load(tmp_path, "local")
    assert vault.ensure(tmp_path, "local", key) == []
    assert vault.load(tmp_path, "local") == secrets
    assert set(secrets) == set(vault.SECRETS)
    for file in (tmp_path / ".vault_pass", vault.vault_file(tmp_path, "local"), key):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not any(value in vault.vault_file(tmp_path, "local").read_text() for value in secrets.values())


def test_a_wrong_password_names_both_files(tmp_path: Path) -> None:
    vault.ensure(tmp_path, "local")
    (tmp_path / ".vault_pass").write_text("another\n")
    with pytest.raises(
        vault.VaultError, match=r"password in \.vault_pass does not open inventories/local/.*vault\.yml"
    ):
        vault.load(tmp_path, "local")


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(vault.VaultError, match=r"vault\.yml is missing; `make up` makes it"):
        vault.load(tmp_path, "local")
    vault.ensure(tmp_path, "local")
    (tmp_path / ".vault_pass").unlink()
    with pytest.raises(vault.VaultError, match=r"\.vault_pass is missing"):
        vault.load(tmp_path, "local")


def test_no_secrets_are_made_for_a_stack_that_nobody_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["vault", "unknown"])
    with pytest.raises(SystemExit, match="no environment is declared for the stack 'unknown'; allowed: laptop, local"):
        vault.main()
    assert not vault.vault_file(vault.ROOT, "unknown").parent.exists()
