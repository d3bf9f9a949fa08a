"""The join token's file. The stream itself is tested against a real server (tests/integration)."""

from pathlib import Path

import pytest

from mesh_proxy.supervisor.ads import TokenError, read_token


def test_token_without_its_line_end(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("secret\n")
    file.chmod(0o600)
    assert read_token(file) == "secret"


REFUSED = [("secret", 0o604, "everybody may read it"), ("", 0o600, "holds no token"), ("a b", 0o600, "holds no token")]


@pytest.mark.parametrize(("text", "mode", "reason"), REFUSED)
def test_unfit_file_is_refused(tmp_path: Path, text: str, mode: int, reason: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(TokenError, match=reason):
        read_token(file)


def test_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match=r"token file .*/none: No such file"):
        read_token(tmp_path / "none")
