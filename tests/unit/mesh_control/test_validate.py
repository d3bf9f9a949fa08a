"""What is refused although it is valid: nothing that this mesh does not honour is passed over."""

import pytest

from mesh_control import validate
from tests.unit.mesh_control import worlds

RULE = "kind: DestinationRule\nspec: {host: order, %s}"
SERVICE = "kind: VirtualService\nspec: {hosts: [order], %s}"
ROUTE = "route: [{destination: {host: order}}]"
GATEWAY = "kind: Gateway\nspec: {servers: [%s]}"
ENTRY = "kind: ServiceEntry\nspec: {hosts: [a.example], ports: [{number: 80, name: http}], %s}"

REFUSED = [
    (
        RULE % "trafficPolicy: {tls: {mode: SIMPLE}}",
        "spec.trafficPolicy.tls.mode: SIMPLE is not supported yet; use DISABLE",
    ),
    (RULE % "trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}", "spec.trafficPolicy.tls.mode: ISTIO_MUTUAL"),
    (
        RULE % "trafficPolicy: {portLevelSettings: [{port: {number: 1}, tls: {mode: SIMPLE}}]}",
        "spec.trafficPolicy.portLevelSettings[0].tls.mode: SIMPLE",
    ),
    (
        RULE % "subsets: [{name: v1, trafficPolicy: {tls: {mode: SIMPLE}}}]",
        "spec.subsets[0].trafficPolicy.tls.mode: SIMPLE",
    ),
    (RULE % "trafficPolicy: {tunnel: {targetHost: a.b, targetPort: 1}}", "spec.trafficPolicy.tunnel: is not supported"),
    (RULE % "trafficPolicy: {proxyProtocol: {version: V1}}", "spec.trafficPolicy.proxyProtocol: is not supported"),
    (RULE % "trafficPolicy: {retryBudget: {percent: 1}}", "spec.trafficPolicy.retryBudget: is not supported"),
    (
        RULE % "trafficPolicy: {outlierDetection: {outlierDetectionHttpErrorCodes: [500]}}",
        "outlierDetectionHttpErrorCodes: is not supported",
    ),
    (RULE % "trafficPolicy: {connectionPool: {http: {http2KeepAlive: {interval: 1s}}}}", "http2KeepAlive: is not"),
    (RULE % "trafficPolicy: {loadBalancer: {localityLbSetting: {enabled: true}}}", "balancing by locality is not"),
    (RULE % "trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true}}}", "consistentHash: is not supported"),
    (SERVICE % "tls: [{match: [{sniHosts: [order]}], route: [{destination: {host: order}}]}]", "spec.tls: is not"),
    (SERVICE % "http: [{delegate: {name: x}}]", "spec.http[0].delegate: is not supported yet; write the rules here"),
    (SERVICE % f"http: [{{{ROUTE}, retries: {{retryRemoteLocalities: true}}}}]", "retryRemoteLocalities: is not"),
    (
        SERVICE % f"http: [{{match: [{{headers: {{'@request.auth.claims.x': {{exact: y}}}}}}], {ROUTE}}}]",
        "spec.http[0].match[0].headers: @request.auth.claims.x needs claims",
    ),
    (SERVICE % f"tcp: [{{match: [{{destinationSubnets: [10.0.0.0/8]}}], {ROUTE}}}]", "match[0].destinationSubnets: is"),
    (SERVICE % f"tcp: [{{match: [{{sourceSubnet: 10.0.0.0/8}}], {ROUTE}}}]", "match[0].sourceSubnet: is not supported"),
    (
        GATEWAY % "{port: {number: 443, name: a, protocol: TCP}, hosts: ['*']}",
        "port.protocol: TCP is not supported yet",
    ),
    (
        GATEWAY
        % "{port: {number: 443, name: a, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: x}}",
        "spec.servers[0].port.protocol: HTTPS is not supported yet; use HTTP",
    ),
    (
        GATEWAY % "{port: {number: 80, name: a, protocol: HTTP}, hosts: ['*'], tls: {httpsRedirect: true}}",
        "spec.servers[0].tls: is not supported yet",
    ),
    (
        GATEWAY % "{port: {number: 80, name: a, protocol: HTTP}, hosts: ['*'], bind: 'unix:///run/a'}",
        "servers[0].bind: unix:///run/a is no IP address",
    ),
    (
        GATEWAY % "{port: {number: 80, name: a, protocol: HTTP}, hosts: ['*'], defaultEndpoint: x}",
        "defaultEndpoint: is",
    ),
    (ENTRY % "resolution: DYNAMIC_DNS", "spec.resolution: DYNAMIC_DNS is not supported yet; use DNS"),
    (ENTRY % "addresses: [10.0.0.0/8]", "spec.addresses[0]: 10.0.0.0/8 is a network"),
    (ENTRY % "resolution: STATIC, endpoints: [{address: 'unix:///x'}]", "endpoints[0].address: Unix sockets are not"),
    ("kind: WorkloadEntry\nspec: {address: 10.0.0.1, network: other}", "spec.network: several networks are not"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[message[:50] for _, message in REFUSED])
def test_refused(text: str, message: str) -> None:
    document = f"apiVersion: networking.istio.io/v1\nmetadata: {{name: x}}\n{text}"
    (policy,) = worlds.world(document).policies
    errors = [str(finding) for finding in validate.unsupported(policy)]
    assert any(message in error and error.startswith("error MESH0006 ") for error in errors), errors


@pytest.mark.parametrize(
    "text",
    [
        RULE % "trafficPolicy: {tls: {mode: DISABLE}}",
        SERVICE % f"http: [{{{ROUTE}, retries: {{attempts: 1}}}}]",
        GATEWAY % "{port: {number: 80, name: a, protocol: HTTP}, hosts: ['*']}",
        ENTRY % "addresses: [10.0.0.1], resolution: DNS",
    ],
)
def test_taken(text: str) -> None:
    document = f"apiVersion: networking.istio.io/v1\nmetadata: {{name: x}}\n{text}"
    assert [finding for finding in validate.findings(worlds.world(document)) if finding.level > 1] == []
