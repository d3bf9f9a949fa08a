"""The API against what may be sent to it: wrong owners, wrong bytes, much, and many at once."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from mesh_control.client import ControlClient, ControlError
from tests.integration.mesh_control.harness import LIMIT, STORE, Peer, connected, control_plane
from tests.integration.mesh_control.test_policies import TIMEOUT

pytestmark = pytest.mark.integration

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n---\n"
DEEP_KEYS = b"""apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: deep}
spec:
  jwtRules: [{issuer: a, jwks: '{"keys":%b'}]
""" % (b"[" * 200_000)


def named(name: str) -> str:
    """A VirtualService of that name, for a host of its own."""
    return TIMEOUT.replace("name: store", f"name: {name}").replace("[store]", f"[{name}.example]")


async def test_whatever_is_sent_is_answered(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        connector = aiohttp.UnixConnector(path=str(plane.socket))
        async with aiohttp.ClientSession(connector=connector) as http:
            for body, status, told in (
                (b"\xff", 422, "the set is not UTF-8 (byte 0)"),
                (b"a: " + b"[" * 100_000, 422, "nested deeper"),
                (b"&a [*a]", 422, "hold themselves"),
                (b"a: [", 422, "set:1: not YAML"),
                (
                    DEEP_KEYS,
                    422,
                    "set:5: RequestAuthentication deep: spec.jwtRules[0].jwks: is no JSON: values are nested",
                ),
                (b"- 1", 422, "apiVersion and kind are required"),
                (b"#" * (17 * 1024 * 1024), 413, "exceeded"),
                (b"", 200, "version"),
            ):
                headers = {"content-type": "text/plain; charset=no-such-thing"}
                async with http.put("http://control/policies/demo?wait=nan", data=body, headers=headers) as answer:
                    assert (answer.status, told in await answer.text()) == (status, True), body[:20]
        assert "Traceback" not in plane.log


@pytest.mark.parametrize("owner", ["..", ".", "A", "a/b", "-a", "a?b", "a#b", "", "a" * 64, "ä"])
async def test_who_cannot_be_an_owner_is_told_so(tmp_path: Path, owner: str) -> None:
    with control_plane(tmp_path) as plane:
        for call in (plane.client.apply(owner, "", 0), plane.client.get(owner), plane.client.delete(owner, 0)):
            with pytest.raises(
                ControlError, match="cannot be an owner: lower case letters, digits and dashes"
            ) as error:
                await call
            assert error.value.status == 404


async def test_what_is_no_policy_is_named(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        applied = await plane.client.apply("demo", SERVICE + TIMEOUT, 0)
        assert applied["warnings"] == ["Service s is no policy and was passed over"]


async def test_the_longest_names_are_put_in_force(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        text = named("long").replace("name: long", f"name: {'a' * 253}, namespace: {'n' * 63}")
        text = text.replace("host: store", "host: store.default.svc.cluster.local")
        await plane.client.apply("o" * 63, text, 0)
        assert "a" * 253 in await plane.client.get("o" * 63)


async def test_many_at_once(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        async with connected(Peer(STORE), plane) as peer:
            clients = [ControlClient(plane.socket) for _ in range(12)]
            own = [client.apply(f"o{n}", named(f"s{n}"), LIMIT) for n, client in enumerate(clients)]
            same = [client.apply("same", named(f"t{n}"), LIMIT) for n, client in enumerate(clients)]
            applied = await asyncio.gather(*own, *same)
            assert len({answer["version"] for answer in applied}) == len(applied)
            last = max(applied[len(own) :], key=lambda answer: int(answer["version"].partition(".")[2]))
            number = applied[len(own) :].index(last)
            assert f"name: t{number}\n" in await plane.client.get("same")
            assert (await plane.client.wait(LIMIT))["waiting"] == []
            assert peer.session is not None


async def test_one_object_of_two_owners(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        answers = await asyncio.gather(
            *(ControlClient(plane.socket).apply(owner, TIMEOUT, 0) for owner in ("one", "two")), return_exceptions=True
        )
        (refused,) = (answer for answer in answers if isinstance(answer, ControlError))
        assert "belongs to another owner" in str(refused)


async def test_a_large_set_leaves_others_their_answers(tmp_path: Path) -> None:
    """It is read beside the loop: meanwhile proxies are served and questions answered."""
    comments = f"# {'x' * 97}\n" * 50_000  # five megabytes
    with control_plane(tmp_path) as plane:
        applying = asyncio.create_task(plane.client.apply("demo", comments + "---\n".join(map(named, "abc")), LIMIT))
        answers = 0
        while not applying.done():
            await plane.client.status()
            answers += 1
        assert (await applying)["version"]
        assert answers > 1
