"""What is refused although it is valid: nothing that this mesh does not honour is passed over."""

import pytest

from mesh_control import validate
from tests.unit.mesh_control import worlds

RULE = "kind: DestinationRule\nspec: {host: order, %s}"
PORT = "portLevelSettings: [{port: {number: 1}, %s}]"
SERVICE = "kind: VirtualService\nspec: {hosts: [order], %s}"
ROUTE = "route: [{destination: {host: order}}]"
GATEWAY = "kind: Gateway\nspec: {servers: [%s]}"
ENTRY = "kind: ServiceEntry\nspec: {hosts: [a.example], ports: [{number: 80, name: http}], %s}"
WILD = "kind: ServiceEntry\nspec: {hosts: ['*.example'], ports: [{number: 80, name: http, protocol: HTTP}], %s}"


def document(text: str, name: str, namespace: str = "default") -> str:
    return f"---\napiVersion: networking.istio.io/v1\nmetadata: {{name: {name}, namespace: {namespace}}}\n{text}\n"


REFUSED = [
    (RULE % "trafficPolicy: {tunnel: {targetHost: a.b, targetPort: 1}}", "spec.trafficPolicy.tunnel: is not supported"),
    (
        RULE % "trafficPolicy: {outlierDetection: {outlierDetectionHttpErrorCodes: [500]}}",
        "outlierDetectionHttpErrorCodes: is not supported",
    ),
    (
        SERVICE % f"http: [{{{ROUTE}, retries: {{attempts: 1, retryRemoteLocalities: true}}}}]",
        "retryRemoteLocalities: is not",
    ),
    (SERVICE % f"tcp: [{{match: [{{sourceSubnet: 10.0.0.0/8}}], {ROUTE}}}]", "match[0].sourceSubnet: is not supported"),
    (
        GATEWAY % "{port: {number: 443, name: a, protocol: MONGO}, hosts: ['*']}",
        "port.protocol: MONGO is not supported yet",
    ),
    (
        GATEWAY % "{port: {number: 0, name: a, protocol: HTTP}, hosts: ['*'], bind: 'unix:///run/a'}",
        "servers[0].bind: unix:///run/a is no IP address",
    ),
    (
        GATEWAY % "{port: {number: 80, name: a, protocol: HTTP}, hosts: ['*'], defaultEndpoint: x}",
        "defaultEndpoint: is",
    ),
    (
        RULE % f"trafficPolicy: {{{PORT % 'outlierDetection: {outlierDetectionHttpErrorCodes: [500]}'}}}",
        "portLevelSettings[0].outlierDetection.outlierDetectionHttpErrorCodes: is not supported",
    ),
    (
        GATEWAY % "{port: {number: 80, name: a, protocol: HTTP, targetPort: 0}, hosts: ['*']}",
        "spec.servers[0].port.targetPort: is only for services",
    ),
    (
        "kind: ServiceEntry\nspec: {hosts: [a.example], ports: [{number: 53, name: dns, protocol: UDP}], resolution: DNS}",
        "spec.ports[0].protocol: UDP is not carried",
    ),
    (
        ENTRY % "resolution: STATIC, workloadSelector: {}",
        "spec.workloadSelector.labels: without labels nobody is selected",
    ),
    (ENTRY % "resolution: STATIC, endpoints: [{address: 'unix:///x'}]", "endpoints[0].address: Unix sockets are not"),
    *(
        (SERVICE % f"http: [{{{ROUTE}, {field}}}]", f"spec.http[0].{message}")
        for field, message in (
            ("fault: {abort: {}}", "fault.abort: nothing is aborted without a status"),
            ("fault: {abort: {httpStatus: 600}}", "fault.abort.httpStatus: 600 is no status"),
            ("fault: {delay: {}}", "fault.delay.fixedDelay: nothing is delayed"),
            ("fault: {delay: {percent: 101, fixedDelay: 1s}}", "fault.delay.percent: 101 is no percentage"),
            ("match: [{port: 0}]", "match[0].port: 0 is no port"),
            ("match: [{queryParams: {'': {}}}]", "match[0].queryParams: a parameter has a name"),
            ("headers: {request: {set: {'a b': x}}}", "headers.request: 'a b' is no name of a header"),
            ("headers: {response: {remove: ['a,b']}}", "headers.response: 'a,b' is no name of a header"),
            (
                "rewrite: {uriRegexRewrite: {match: (a), rewrite: '\\2'}}",
                "rewrite.uriRegexRewrite.rewrite: \\2 is no group",
            ),
            (
                "mirrors: [{destination: {host: '*.a'}}]",
                "mirrors[0].destination.host: *.a: traffic goes to one service",
            ),
            ("mirror: {host: a.b.}", "mirror.host: a.b.: write it without the last dot"),
        )
    ),
    (
        SERVICE % "http: [{redirect: {uri: /, redirectCode: 304}}]",
        "redirect.redirectCode: 304 is not supported; use one of 301",
    ),
    (SERVICE % "http: [{redirect: {uri: /, port: 0}}]", "redirect.port: 0 is no port"),
    (SERVICE % "http: [{directResponse: {status: 600}}]", "directResponse.status: 600 is no status"),
    (SERVICE % f"tcp: [{{match: [{{port: 0}}], {ROUTE}}}]", "tcp[0].match[0].port: 0 is no port"),
    (
        SERVICE
        % "http: [{route: [{destination: {host: a}, weight: 2147483647}, {destination: {host: b}, weight: 2147483647},"
        " {destination: {host: c}, weight: 2}]}]",
        "spec.http[0].route: the weights sum to more than Envoy can hold",
    ),
    (f"kind: VirtualService\nspec: {{hosts: [a.b, A.b], http: [{{{ROUTE}}}]}}", "spec.hosts[1]: A.b stands twice"),
    (f"kind: VirtualService\nspec: {{hosts: ['*-b.c'], http: [{{{ROUTE}}}]}}", "spec.hosts[0]: *-b.c: a wildcard is"),
    (ENTRY.replace("a.example", "a.example, a.example") % "resolution: NONE", "spec.hosts[1]: a.example stands twice"),
    (
        ENTRY.replace("a.example", "a.example.") % "resolution: NONE",
        "spec.hosts[0]: a.example.: write it without the last",
    ),
    ("kind: DestinationRule\nspec: {host: '*a.b'}", "spec.host: *a.b: a wildcard is"),
    (RULE % "trafficPolicy: {connectionPool: {tcp: {idleTimeout: -1us}}}", "tcp.idleTimeout: cannot be below 0"),
    (RULE % "trafficPolicy: {outlierDetection: {consecutiveErrors: -1}}", "consecutiveErrors: cannot be below 0"),
    (
        RULE % "trafficPolicy: {portLevelSettings: [{port: {}, tls: {}}]}",
        "portLevelSettings[0].port.number: nothing is no port",
    ),
    (
        RULE % "trafficPolicy: {portLevelSettings: [{port: {number: 1}, tls: {}}, {port: {number: 1}, tls: {}}]}",
        "portLevelSettings[1].port.number: port 1 stands twice",
    ),
    (
        "kind: WorkloadGroup\nspec: {template: {}, probe: {tcpSocket: {port: 80}}}",
        "spec.probe: no proxy of ours probes its application yet",
    ),
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
        RULE % "trafficPolicy: {loadBalancer: {zoneAwareLbSetting: {failover: [{from: a, to: b}]}}}",
        SERVICE % f"http: [{{{ROUTE}, retries: {{attempts: 1}}}}]",
        GATEWAY % "{port: {number: 80, name: a, protocol: HTTP}, hosts: ['*']}",
        ENTRY % "addresses: [10.0.0.1], resolution: DNS",
        ENTRY % "addresses: [10.0.0.0/8], resolution: NONE",
        WILD % "resolution: DYNAMIC_DNS",
        "kind: Sidecar\nspec: {egress: [{hosts: ['*/*']}]}",
        "kind: WorkloadGroup\nspec: {template: {network: other}}",
        "kind: WorkloadEntry\nspec: {address: 10.0.0.1, network: other}",
        ENTRY % "resolution: STATIC, endpoints: [{address: 10.0.0.1, network: other}]",
    ],
)
def test_taken(text: str) -> None:
    document = f"apiVersion: networking.istio.io/v1\nmetadata: {{name: x}}\n{text}"
    assert [finding for finding in validate.findings(worlds.world(document)) if finding.level > 1] == []


SECURITY = "apiVersion: security.istio.io/v1\nmetadata: {name: x}\n"
AUTHORIZATION = SECURITY + "kind: AuthorizationPolicy\nspec: {rules: [%s]}"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (SECURITY + "kind: PeerAuthentication\nspec: {mtls: {mode: STRICT}}", "spec.mtls.mode: STRICT"),
        (
            SECURITY + "kind: PeerAuthentication\nspec: {selector: {matchLabels: {app: a}}, "
            "portLevelMtls: {'80': {mode: STRICT}}}",
            "spec.portLevelMtls[80].mode: STRICT",
        ),
        (AUTHORIZATION % "from: [{source: {principals: [a]}}]", "spec.rules[0].from[0].source.principals: needs"),
        (AUTHORIZATION % "from: [{source: {notNamespaces: [a]}}]", "spec.rules[0].from[0].source.notNamespaces: needs"),
        (AUTHORIZATION % "when: [{key: source.namespace, values: [a]}]", "spec.rules[0].when[0].key: source.namespace"),
        (
            document(RULE % f"trafficPolicy: {{{PORT % 'tls: {mode: ISTIO_MUTUAL}'}}}", "x"),
            "spec.trafficPolicy.portLevelSettings[0].tls.mode: ISTIO_MUTUAL",
        ),
        (
            document(RULE % "subsets: [{name: v1, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}]", "x"),
            "spec.subsets[0].trafficPolicy.tls.mode: ISTIO_MUTUAL",
        ),
        (
            document(
                GATEWAY % "{port: {number: 443, name: a, protocol: HTTPS}, hosts: ['*'], tls: {mode: ISTIO_MUTUAL}}",
                "x",
            ),
            "spec.servers[0].tls.mode: ISTIO_MUTUAL",
        ),
    ],
)
def test_what_needs_certificates_is_refused_where_there_are_none(text: str, field: str) -> None:
    world = worlds.world(text)
    assert not [found for found in validate.findings(world) if found.code == "MESH0006"]
    (error,) = [found for found in validate.findings(world, certified=False) if found.code == "MESH0006"]
    assert field in str(error)
    assert "give the control plane a section `ca`" in str(error)


DNS = ENTRY % "resolution: DNS"


def errors(text: str) -> list[str]:
    return [str(finding) for finding in validate.findings(worlds.world(text)) if finding.level > 1]


@pytest.mark.parametrize("namespace", ["default", "other"])
def test_two_services_for_one_host_are_refused(namespace: str) -> None:
    """Two clusters of one name would follow, and every proxy refuses all clusters then."""
    (error,) = errors(document(DNS, "one") + document(DNS, "two", namespace))
    assert "MESH0007 ServiceEntry" in error
    assert "spec.hosts[0]: a.example is already declared by ServiceEntry default/one; put its ports" in error


def test_a_service_entry_for_a_host_of_the_inventory_is_refused() -> None:
    (error,) = errors(document(DNS.replace("a.example", worlds.ORDER), "one"))
    assert "is already declared by the inventory" in error


def test_a_name_where_the_control_plane_hands_out_addresses_is_refused() -> None:
    entry = "kind: WorkloadEntry\nspec: {address: host.example, labels: {app: %s}}"
    (error,) = errors(document(entry % "order", "w"))
    assert error.startswith("error MESH0008 WorkloadEntry default/w: spec.address: host.example is a name")
    by_name = DNS.replace("resolution", "workloadSelector: {labels: {app: far}}, resolution")
    assert errors(document(entry % "far", "w") + document(by_name, "s")) == []
