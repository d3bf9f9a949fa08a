"""What is said of a wrong document: the field, and what to write."""

import pytest
import yaml

from mesh_policy import PolicyError, load_documents
from tests.support.networking_cases import document

ROUTE = "route: [{destination: {host: a}}]"
LOCALITY = "host: a\ntrafficPolicy: {loadBalancer: {localityLbSetting: {distribute: [%s]}}}"

ROWS = [
    (
        "VirtualService",
        f"http: [{{{ROUTE}}}]\ngateways: [a]",
        "without hosts this is a delegate, which has no gateways",
    ),
    ("VirtualService", "http: [{delegate: {name: b}}]", "http[0]: delegate: a delegate"),
    ("VirtualService", "hosts: ['*.b', a.b]\nhttp: [{redirect: {uri: /}}]", "'*.b' and 'a.b' overlap; keep one"),
    (
        "VirtualService",
        f"hosts: [a]\ngateways: [a/]\nhttp: [{{{ROUTE}}}]",
        "gateways: 'a/' is no gateway; write NAMESPACE/",
    ),
    (
        "VirtualService",
        f"hosts: [a]\nhttp: [{{match: [{{headers: {{'@request.auth.claims.a': {{}}}}}}], {ROUTE}}}]",
        "claims are matched at gateways alone; name a gateway",
    ),
    (
        "VirtualService",
        f"hosts: [a]\ntls: [{{match: [{{sniHosts: [b]}}], {ROUTE}}}]",
        "tls[0]: sniHosts: 'b' lies within none of the hosts a",
    ),
    ("VirtualService", f"hosts: [a]\nhttp: [{{{ROUTE}, rewrite: {{}}}}]", "rewrite: one of uri, uriRegexRewrite and"),
    ("VirtualService", f"hosts: [a]\nhttp: [{{{ROUTE}, timeout: 1.5ms}}]", "timeout: '1.5ms': Istio takes whole milli"),
    (
        "VirtualService",
        f"hosts: [a]\nhttp: [{{{ROUTE}, retries: {{attempts: 1, retryOn: '5xx, reset'}}}}]",
        "retries.retryOn: ' reset' is no retry condition; write no blanks",
    ),
    (
        "VirtualService",
        f"hosts: [a]\nhttp: [{{{ROUTE}, rewrite: {{authority: b}}, headers: {{request: {{set: {{host: c}}}}}}}}]",
        "the host of the request is written twice, as 'b' and 'c'; keep one",
    ),
    (
        "VirtualService",
        "hosts: [a]\nhttp: [{match: [{uri: {exact: /}}], redirect: {prefixRewrite: /}}]",
        "redirect.prefixRewrite goes with matches by prefix",
    ),
    ("VirtualService", f"hosts: [a]\nexportTo: [., default]\nhttp: [{{{ROUTE}}}]", "exportTo: 'default' stands twice"),
    ("DestinationRule", "host: a\ntrafficPolicy: {}", "trafficPolicy: a traffic policy needs at least one field"),
    ("DestinationRule", LOCALITY % "{from: a, to: {b: 99}}", "to: the shares sum to 99, they must sum to 100"),
    ("DestinationRule", LOCALITY % "{from: a, to: {b: 50, b/c: 50}}", "'b/c' overlaps 'b'; keep one"),
    ("DestinationRule", LOCALITY % "{from: '*/a', to: {b: 100}}", "distribute: '*/a': `*` stands only at the end"),
    (
        "DestinationRule",
        "host: a\ntrafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: a, maglev: {tableSize: 9}}}}",
        "maglev: tableSize must be a prime number below 5000011",
    ),
    (
        "DestinationRule",
        "host: a\ntrafficPolicy: {tls: {mode: SIMPLE, credentialName: 'configmap://other/a'}}",
        "write configmap://default/NAME",
    ),
    ("DestinationRule", "host: a\nsubsets: [{name: v.1}]", "subsets[0].name: 'v.1' is no name of a subset"),
    ("DestinationRule", "host: a\nworkloadSelector: {}\nexportTo: [b]", "a rule with workloadSelector is for its own"),
    (
        "Gateway",
        "servers: [{port: {number: 1, name: a, protocol: HTTP}, hosts: [short]}]",
        "hosts[0]: host 'short' is a short name; write it in full",
    ),
    (
        "Gateway",
        "servers: [{port: {number: 1, name: a, protocol: TCP}, hosts: ['*'], tls: {}}]",
        "port 1 is TCP; tls goes with HTTPS or TLS",
    ),
    (
        "Gateway",
        "servers: [{port: {number: 1, name: a, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE}}]",
        "tls: SIMPLE needs serverCertificate and privateKey, or credentialName",
    ),
    ("ServiceEntry", "hosts: [a.b]\nresolution: DYNAMIC_DNS", "hosts: 'a.b': DYNAMIC_DNS takes wildcards"),
    (
        "ServiceEntry",
        "hosts: [a.b, c.d]\nresolution: DNS\nports: [{number: 80, name: a}]",
        "ports: 80 is neither HTTP nor TLS, which cannot tell several hosts apart",
    ),
    (
        "ServiceEntry",
        "hosts: [a.b]\nresolution: STATIC\nendpoints: [{address: 10.0.0.1, ports: {x: 1}}]",
        "endpoints: the service has no port named 'x'",
    ),
    ("WorkloadEntry", "address: unix:///a/", "address: '/a/' is no absolute path to a socket"),
    ("WorkloadEntry", "address: a\nlabels: {'a b': c}", "labels: 'a b' is no name of a label"),
    (
        "WorkloadGroup",
        "template: {}\nprobe: {grpc: {port: 1}}",
        "probe: grpc is not supported (by Istio's webhook either)",
    ),
    ("WorkloadGroup", "template: {}\nprobe: {}", "probe: exactly one of httpGet, tcpSocket and exec is required"),
    ("WorkloadGroup", "template: {address: 'unix:///a', ports: {}}", "template: ports: a Unix socket has none"),
    ("Sidecar", "egress: []", "one of ingress, egress, inboundConnectionPool and outboundTrafficPolicy is required"),
    (
        "Sidecar",
        "egress: [{hosts: [a.b]}]",
        "egress[0].hosts[0]: 'a.b': write NAMESPACE/HOST, ./HOST for this namespace",
    ),
    (
        "Sidecar",
        "egress: [{hosts: [a/*]}, {hosts: [b/*]}]",
        "egress: the listener without a port stands last, not in place 0",
    ),
    ("Sidecar", "ingress: [{port: {number: 1}, defaultEndpoint: a}]", "defaultEndpoint: 'a': write 127.0.0.1:PORT"),
    ("Sidecar", "ingress: [{port: {number: 1}}, {port: {number: 1}}]", "ingress: port 1 stands twice"),
    (
        "Sidecar",
        "ingress: [{port: {number: 1, protocol: HTTPS}, tls: {mode: SIMPLE, credentialName: a}}]",
        "tls.credentialName is for gateways; remove it",
    ),
    ("Sidecar", "outboundTrafficPolicy: {egressProxy: {host: a}}", "egressProxy goes with mode ALLOW_ANY"),
    ("ProxyConfig", "concurrency: -1", "concurrency: Input should be greater than or equal to 0"),
    ("ProxyConfig", "selector: {matchLabels: {a: '*'}}", "a selector takes no wildcard"),
]


@pytest.mark.parametrize(("kind", "spec", "expected"), ROWS, ids=[f"{kind}-{said[:40]}" for kind, _, said in ROWS])
def test_it_says_what_is_wrong(kind: str, spec: str, expected: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_documents(yaml.safe_dump(document(kind, yaml.safe_load(spec))))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "metadata", "expected"),
    [
        ("Gateway", {"name": "a.b"}, "a gateway's name has no dots"),
        (
            "WorkloadEntry",
            {"annotations": {"istio.io/dry-run": "true"}},
            "istio.io/dry-run is not allowed here; remove it",
        ),
        (
            "WorkloadEntry",
            {"annotations": {"internal.istio.io/parents": "a"}},
            "internal.istio.io/parents is not allowed",
        ),
    ],
)
def test_metadata(kind: str, metadata: dict[str, object], expected: str) -> None:
    specs = {
        "Gateway": "servers: [{port: {number: 1, name: a, protocol: TCP}, hosts: ['*']}]",
        "WorkloadEntry": "address: a",
    }
    with pytest.raises(PolicyError, match=expected):
        load_documents(yaml.safe_dump(document(kind, yaml.safe_load(specs[kind]), **metadata)))
