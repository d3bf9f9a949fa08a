"""The folder of keys and certificates."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from mesh_control.gateway_api import Surroundings
from mesh_control.gateway_api.converted import OWN, united
from mesh_control.secrets.references import SecretError
from mesh_control.sources.credentials import LARGEST, CredentialFolder
from mesh_policy.gateway_api.attachment import Reference


def put(folder: Path, key: str, content: bytes = b"content", mode: int = 0o600) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / key
    file.write_bytes(content)
    file.chmod(mode)
    return file


def test_what_is_there(tmp_path: Path) -> None:
    put(tmp_path / "shop/web", "tls.key")
    put(tmp_path / "shop/web", "tls.crt", mode=0o644)
    put(tmp_path / "shop/web", "notes.txt")
    source = CredentialFolder(tmp_path)
    assert source.content("Secret", "shop", "web") == {"tls.key": b"content", "tls.crt": b"content"}
    assert source.content("Secret", "shop", "other") is None
    assert source.content("ConfigMap", "shop", "web") is None
    assert source.read().problems == ()
    assert asyncio.run(source.may_read("shop", "any"))
    assert CredentialFolder(tmp_path / "none").read().problems != ()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_that_others_may_read_is_not_used(tmp_path: Path, mode: int) -> None:
    put(tmp_path / "shop/web", "tls.key", b"the key", mode=mode)
    with pytest.raises(SecretError, match=r"others may read it; its mode has to be 0600") as caught:
        CredentialFolder(tmp_path).content("Secret", "shop", "web")
    assert "the key" not in str(caught.value)


def test_what_is_no_small_file(tmp_path: Path) -> None:
    put(tmp_path / "shop/web", "ca.crt", b"x" * (LARGEST + 1))
    (tmp_path / "shop/folder/tls.crt").mkdir(parents=True)
    for name in ("web", "folder"):
        with pytest.raises(SecretError):
            CredentialFolder(tmp_path).content("Secret", "shop", name)


async def test_a_change_is_seen(tmp_path: Path) -> None:
    put(tmp_path / "shop/web", "ca.crt")
    source, told = CredentialFolder(tmp_path), asyncio.Event()
    assert source.content("Secret", "shop", "web") == {"ca.crt": b"content"}
    task = asyncio.create_task(source.watch(told.set))
    try:
        async with asyncio.timeout(30):
            while source.content("Secret", "shop", "web") != {"ca.crt": b"another"}:
                put(tmp_path / "shop/web", "ca.crt", b"another")
                with contextlib.suppress(TimeoutError):  # it was written before anybody watched
                    await asyncio.wait_for(told.wait(), 0.5)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_gateways_of_the_gateway_api_find_what_is_there(tmp_path: Path) -> None:
    put(tmp_path / "shop/web", "tls.key", b"-----BEGIN PRIVATE KEY-----")
    put(tmp_path / "shop/web", "tls.crt", b"-----BEGIN CERTIFICATE-----")
    put(tmp_path / "shop/roots", "ca.crt", b"-----BEGIN CERTIFICATE-----")
    put(tmp_path / "shop/open", "tls.key", b"-----BEGIN PRIVATE KEY-----", mode=0o644)
    around = CredentialFolder(tmp_path).read().surroundings
    assert around is not None
    assert around.certificates == {"shop/web"}
    assert around.authorities == {Reference("", "Secret", "shop", "roots")}
    cluster = Surroundings({"shop": {}}, certificates=frozenset({"shop/other"}), controllers=frozenset({OWN}))
    both = united([cluster, around])
    assert both is not None
    assert (both.certificates, both.controllers) == ({"shop/web", "shop/other"}, {OWN})
