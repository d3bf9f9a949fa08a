"""Servers of several Gateways on one port: who shares it, who is left out, and how TLS is taken."""

import pytest

from mesh_api.config import (
    CertificateValidation,
    FilterChain,
    HttpConnectionManager,
    Listener,
    ListenerFilter,
    SecretSource,
    TcpProxy,
)
from mesh_api.node import Node
from tests.unit.mesh_control.worlds import GATEWAY, compiled

HEAD = "apiVersion: networking.istio.io/v1\n"
RULES = HEAD + (
    "kind: VirtualService\nmetadata: {name: rules}\n"
    "spec:\n  hosts: ['*']\n  gateways: [edge/one, edge/two]\n"
    "  http: [{route: [{destination: {host: order.default.svc.cluster.local}}]}]\n"
    "  tcp: [{match: [{port: 9000}], route: [{destination: {host: postgres.default.svc.cluster.local}}]}]\n"
    "  tls: [{match: [{sniHosts: [a.example]}], route: [{destination: {host: postgres.default.svc.cluster.local}}]}]\n"
)


def gateway(name: str, *servers: str) -> str:
    metadata = f"{{name: {name}, namespace: edge}}"
    return f"---\n{HEAD}kind: Gateway\nmetadata: {metadata}\nspec: {{servers: [{', '.join(servers)}]}}\n"


def server(number: int, protocol: str, host: str = "'*'", more: str = "", name: str = "p") -> str:
    return f"{{port: {{number: {number}, name: {name}, protocol: {protocol}}}, hosts: [{host}]{more}}}"


def listeners(*gateways: str, node: Node = GATEWAY) -> dict[str, Listener]:
    return {listener.name: listener for listener in compiled(RULES + "".join(gateways), node).listeners}


def table(chain: FilterChain) -> str:
    assert isinstance(chain.filter, HttpConnectionManager)
    return chain.filter.rds_name


PASSTHROUGH = ", tls: {mode: PASSTHROUGH}"
SIMPLE = ", tls: {mode: SIMPLE, credentialName: a}"


def test_all_that_speak_http_share_a_port_and_its_table() -> None:
    config = compiled(RULES + gateway("one", server(80, "HTTP")) + gateway("two", server(80, "HTTP2")), GATEWAY)
    assert [len(listener.filter_chains) for listener in config.listeners] == [1]
    assert [found.name for found in config.routes] == ["http.80"]


def test_the_first_on_a_port_keeps_it_from_another_protocol() -> None:
    (found,) = listeners(gateway("one", server(9000, "HTTP")), gateway("two", server(9000, "TCP"))).values()
    (chain,) = found.filter_chains
    assert table(chain) == "http.9000"


def test_another_address_is_another_listener() -> None:
    found = listeners(
        gateway("one", server(9000, "HTTP")), gateway("two", server(9000, "TCP", more=", bind: 127.0.0.1"))
    )
    assert sorted(found) == ["0.0.0.0_9000", "127.0.0.1_9000"]


def test_servers_of_tls_are_told_apart_by_name_and_the_first_of_a_name_counts() -> None:
    found = listeners(
        gateway("one", server(443, "HTTPS", "a.example", SIMPLE)),
        gateway("two", server(443, "HTTPS", "b.example", SIMPLE), server(443, "TLS", "a.example", PASSTHROUGH, "q")),
    )["0.0.0.0_443"]
    assert [chain.match.server_names for chain in found.filter_chains] == [("a.example",), ("b.example",)]
    assert [table(chain) for chain in found.filter_chains] == ["https.443.p.one.edge", "https.443.p.two.edge"]
    assert found.listener_filters == (ListenerFilter.TLS_INSPECTOR,)


def test_tls_that_goes_on_is_chosen_by_the_names_of_the_rule() -> None:
    (chain,) = listeners(gateway("one", server(443, "TLS", more=PASSTHROUGH)))["0.0.0.0_443"].filter_chains
    assert (chain.match.server_names, chain.tls) == (("a.example",), None)
    assert isinstance(chain.filter, TcpProxy)
    assert chain.filter.cluster == "outbound|5432||postgres.default.svc.cluster.local"


def test_a_port_without_a_rule_is_not_opened() -> None:
    assert listeners(gateway("one", server(9001, "TCP"))) == {}


def test_plain_bytes_go_where_the_first_rule_says() -> None:
    (chain,) = listeners(gateway("one", server(9000, "TCP")))["0.0.0.0_9000"].filter_chains
    assert isinstance(chain.filter, TcpProxy)
    assert chain.filter.cluster == "outbound|5432||postgres.default.svc.cluster.local"


@pytest.mark.parametrize(
    ("tls", "certificates", "validation", "asked"),
    [
        ("mode: SIMPLE, credentialName: a", (SecretSource("kubernetes://a"),), None, False),
        (
            "mode: MUTUAL, credentialName: ns/a",
            (SecretSource("kubernetes://ns/a"),),
            CertificateValidation(SecretSource("kubernetes://ns/a-cacert")),
            True,
        ),
        (
            "mode: OPTIONAL_MUTUAL, credentialName: a, caCertCredentialName: roots",
            (SecretSource("kubernetes://a"),),
            CertificateValidation(SecretSource("kubernetes://roots")),
            False,
        ),
        (
            "mode: SIMPLE, serverCertificate: /c, privateKey: /k",
            (SecretSource("file-cert:/c~/k", "sds-grpc"),),
            None,
            False,
        ),
        (
            "mode: ISTIO_MUTUAL",
            (SecretSource("default", "sds-grpc", wait=True),),
            CertificateValidation(SecretSource("ROOTCA", "sds-grpc", wait=True)),
            True,
        ),
    ],
)
def test_how_tls_is_taken(
    tls: str, certificates: tuple[SecretSource, ...], validation: CertificateValidation | None, asked: bool
) -> None:
    one = gateway("one", server(443, "HTTPS", "a.example", f", tls: {{{tls}}}"))
    (chain,) = listeners(one)["0.0.0.0_443"].filter_chains
    assert chain.tls is not None
    assert (chain.tls.common.certificates, chain.tls.common.validation) == (certificates, validation)
    assert (chain.tls.require_client_certificate, chain.tls.common.alpn) == (asked, ("h2", "http/1.1"))


def test_a_proxy_that_may_not_bind_low_ports_leaves_them_out() -> None:
    node = Node(GATEWAY.id, metadata={**GATEWAY.metadata, "UNPRIVILEGED_POD": "true"})
    config = compiled(RULES + gateway("one", server(80, "HTTP"), server(8080, "HTTP", name="q")), node)
    assert [listener.name for listener in config.listeners] == ["0.0.0.0_8080"]
    assert [found.name for found in config.routes] == ["http.8080"]
