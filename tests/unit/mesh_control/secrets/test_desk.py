"""Who gets which secret, in which form, and what is never shown of it."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from mesh_api.xds.session import DeltaRequest, DeltaResponse, Request, Response
from mesh_api.xds.type_urls import SECRET
from mesh_control.gateway_api import Converted, ListenerGateway
from mesh_control.secrets.desk import Desk
from mesh_control.secrets.references import Reference, Scheme, SecretError, parse
from mesh_control.world import World
from mesh_policy import Metadata
from mesh_policy.networking.server_tls import ServerTls
from tests.support.secret_server import Identity

OWNER = ("spiffe://cluster.local/ns/shop/sa/gateway",)
FIRST, SECOND = Identity("spiffe://x/ns/a/sa/b"), Identity("spiffe://x/ns/a/sa/c")
TLS = {"tls.crt": FIRST.chain, "tls.key": FIRST.key, "ca.crt": FIRST.roots}


@dataclass
class Kept:
    """A source of secrets, by kind, namespace and name."""

    objects: dict[tuple[str, str, str], Mapping[str, bytes]] = field(default_factory=dict)
    readers: tuple[str, ...] = ("gateway",)

    def content(self, kind: str, namespace: str, name: str) -> Mapping[str, bytes] | None:
        return self.objects.get((kind, namespace, name))

    async def may_read(self, namespace: str, service_account: str) -> bool:
        return service_account in self.readers


def kept() -> Kept:
    return Kept(
        {
            ("Secret", "shop", "web"): TLS,
            ("Secret", "shop", "old"): {"cert": FIRST.chain, "key": FIRST.key, "cacert": FIRST.roots, "crl": b"list"},
            ("Secret", "shop", "stapled"): {**TLS, "tls.ocsp-staple": b"good"},
            ("Secret", "other", "web"): TLS,
            ("Secret", "shop", "mixed"): {"tls.crt": FIRST.chain, "tls.key": SECOND.key},
            ("Secret", "shop", "empty"): {"tls.crt": b"", "tls.key": b""},
            ("Secret", "shop", "broken"): {"tls.crt": b"no PEM", "tls.key": FIRST.key},
            ("ConfigMap", "other", "roots"): {"ca.crt": FIRST.roots},
        }
    )


def ask(desk: Desk, *names: str, identities: tuple[str, ...] = OWNER, world: World | None = None) -> dict[str, Any]:
    """What comes in answer, by name."""
    request = Request(SECRET, resource_names=names)
    answers = asyncio.run(desk.on_request("s1", request, "web.shop", identities, world or World(), delta=False))
    found = [item for answer in answers if isinstance(answer, Response) for item in answer.resources]
    return {name: secret_pb2.Secret.FromString(data) for name, data in found}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kubernetes://web", Reference(Scheme.OBJECT, "shop", "web", False)),
        ("kubernetes://other/web", Reference(Scheme.OBJECT, "other", "web", False)),
        ("kubernetes://web-cacert", Reference(Scheme.OBJECT, "shop", "web-cacert", True)),
        ("kubernetes-gateway://other/web", Reference(Scheme.GATEWAY, "other", "web", False)),
        ("configmap://other/roots", Reference(Scheme.CONFIG_MAP, "other", "roots", True)),
    ],
)
def test_names(text: str, expected: Reference) -> None:
    assert parse(text, "shop") == expected


@pytest.mark.parametrize(
    "text",
    [
        "web",
        "",
        "file://web",
        "configmap://roots",
        "kubernetes-gateway://web",
        "kubernetes://",
        "kubernetes:///web",
        "kubernetes://../web",
        "kubernetes://a/b/c",
        "kubernetes://shop/..",
        "kubernetes://WEB",
        "invalid://",
    ],
)
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(SecretError):
        parse(text, "shop")


def test_what_is_in_them() -> None:
    names = ("kubernetes://web", "kubernetes://old", "kubernetes://stapled", "kubernetes://shop/old-cacert")
    found = ask(Desk((kept(),)), *names, "configmap://other/roots-cacert")
    for name in names[:3]:
        certificate = found[name].tls_certificate
        assert certificate.certificate_chain.inline_bytes == FIRST.chain
        assert certificate.private_key.inline_bytes == FIRST.key
    assert found["kubernetes://stapled"].tls_certificate.ocsp_staple.inline_bytes == b"good"
    roots = found["kubernetes://shop/old-cacert"].validation_context
    assert (roots.trusted_ca.inline_bytes, roots.crl.inline_bytes) == (FIRST.roots, b"list")
    assert found["configmap://other/roots-cacert"].validation_context.trusted_ca.inline_bytes == FIRST.roots


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("kubernetes://mixed", "tls.key is not the key of the certificate in tls.crt"),
        ("kubernetes://empty", "it has neither tls.crt and tls.key nor cert and key"),
        ("kubernetes://broken", "tls.crt holds no certificate in PEM"),
        ("kubernetes://mixed-cacert", "it has neither ca.crt nor cacert"),
        ("kubernetes://gone", "it is not there"),
        ("kubernetes://other/web", "it is of another namespace than the proxy"),
        ("kubernetes-gateway://shop/web", "no Gateway of the proxy's namespace may use it"),
        ("web", "no secret has a name of this form"),
    ],
)
def test_one_that_cannot_be_had_is_told_and_the_others_come(
    name: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    failures: list[int] = []
    desk = Desk((kept(),), lambda: failures.append(1))
    with caplog.at_level(logging.WARNING):
        assert list(ask(desk, name, "kubernetes://web")) == ["kubernetes://web"]
    assert desk.problems() == [f"web.shop: secret {name}: {why}"]
    assert (len(failures), why in caplog.text) == (1, True)
    assert "PRIVATE KEY" not in caplog.text + repr(desk)


@pytest.mark.parametrize(
    "identities", [(), ("spiffe://cluster.local/ns/shop",), ("no id",), (*OWNER, "spiffe://cluster.local/ns/a/sa/b")]
)
def test_who_has_not_proven_one_identity_gets_none(identities: tuple[str, ...]) -> None:
    desk = Desk((kept(),))
    assert ask(desk, "kubernetes://web", "configmap://other/roots", identities=identities) == {}
    assert len(desk.problems()) == 2


def test_an_account_that_may_not_list_secrets_gets_roots_only() -> None:
    desk = Desk((kept(),))
    stranger = ("spiffe://cluster.local/ns/shop/sa/stranger",)
    assert list(ask(desk, "kubernetes://web", "kubernetes://web-cacert", identities=stranger)) == [
        "kubernetes://web-cacert"
    ]
    assert "the account stranger may not list" in desk.problems()[0]


def test_a_gateway_of_the_namespace_may_use_what_it_was_granted() -> None:
    name = "kubernetes-gateway://other/web"
    tls = ServerTls.model_construct(mode="SIMPLE", credential_name=name)
    for namespace, expected in (("shop", [name]), ("other", [])):
        world = World()
        spec = type("Spec", (), {"servers": [type("Server", (), {"tls": tls})()]})()
        gateway = ListenerGateway.model_construct(metadata=Metadata(name="web", namespace=namespace), spec=spec)
        world.__dict__["converted"] = Converted(gateways=(gateway,))
        assert list(ask(Desk((kept(),)), name, identities=("spiffe://cluster.local/ns/shop/sa/any",), world=world)) == (
            expected
        )


def test_a_changed_secret_is_sent_and_one_that_is_gone_is_told() -> None:
    source = kept()
    desk = Desk((source,))
    names = ("kubernetes://old", "kubernetes://web")
    assert set(ask(desk, *names)) == set(names)
    assert asyncio.run(desk.renewed(World())) == {}
    source.objects["Secret", "shop", "web"] = {"tls.crt": SECOND.chain, "tls.key": SECOND.key}
    (answer,) = asyncio.run(desk.renewed(World()))["s1"]
    assert [item[0] for item in answer.resources] == ["kubernetes://web"]
    assert "PRIVATE" not in repr(answer)
    assert "<secret>" in repr(answer)
    del source.objects["Secret", "shop", "web"]
    assert asyncio.run(desk.renewed(World())) == {}
    assert desk.problems() == ["web.shop: secret kubernetes://web: it is not there"]
    desk.close("s1")
    assert desk.problems() == []


def test_a_refused_one_is_not_sent_again_before_it_changes() -> None:
    source = kept()
    desk = Desk((source,))

    def say(request: Request) -> list[Any]:
        return asyncio.run(desk.on_request("s1", request, "web.shop", OWNER, World(), delta=False))

    (first,) = say(Request(SECRET, resource_names=("kubernetes://web",)))
    assert say(Request(SECRET, "", first.nonce, ("kubernetes://web",), "bad key")) == []
    assert desk.problems() == ["web.shop refused secrets: bad key"]
    source.objects["Secret", "shop", "web"] = {"tls.crt": SECOND.chain, "tls.key": SECOND.key}
    (second,) = asyncio.run(desk.renewed(World()))["s1"]
    assert say(Request(SECRET, second.version_info, second.nonce, ("kubernetes://web",))) == []
    assert desk.problems() == []


def test_the_delta_protocol() -> None:
    source = kept()
    desk = Desk((source,))

    def say(request: DeltaRequest) -> list[Any]:
        return asyncio.run(desk.on_request("d1", request, "web.shop", OWNER, World(), delta=True))

    (first,) = say(DeltaRequest(SECRET, subscribe=("kubernetes://web", "kubernetes://gone")))
    assert isinstance(first, DeltaResponse)
    ((name, version, _),) = first.resources
    assert (name, first.removed) == ("kubernetes://web", ("kubernetes://gone",))
    assert say(DeltaRequest(SECRET, first.nonce)) == []
    del source.objects["Secret", "shop", "web"]
    (second,) = asyncio.run(desk.renewed(World()))["d1"]
    assert (second.resources, second.removed) == ((), ("kubernetes://web",))
    assert say(DeltaRequest(SECRET, second.nonce, unsubscribe=("kubernetes://web", "kubernetes://gone"))) == []
    source.objects["Secret", "shop", "web"] = TLS
    assert asyncio.run(desk.renewed(World())) == {}
    desk.close("d1")
    assert say(DeltaRequest(SECRET, subscribe=("kubernetes://web",), initial={"kubernetes://web": version})) == []
