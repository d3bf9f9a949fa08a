"""What annotations of pods ask for."""

import pytest

from mesh_control.injection.wishes import REFUSED, WishError, Wishes, read


def test_nothing_asks_for_nothing() -> None:
    assert read({}) == Wishes()


def test_what_is_asked_for() -> None:
    found = read(
        {
            "traffic.sidecar.istio.io/excludeOutboundPorts": " 5432,3306",
            "traffic.sidecar.istio.io/includeInboundPorts": "*",
            "sidecar.istio.io/proxyMemory": "64Mi",
            "readiness.status.sidecar.istio.io/periodSeconds": "3",
            "sidecar.istio.io/logLevel": "trace",
            "sidecar.istio.io/proxyImage": "registry.example/proxy:2",
            "sidecar.istio.io/nativeSidecar": "false",
            "sidecar.istio.io/rewriteAppHTTPProbers": "false",
            "prometheus.istio.io/merge-metrics": "false",
            "proxy.istio.io/config": "concurrency: 4\nterminationDrainDuration: 20s\n",
            "other.example/annotation": "stays",
        }
    )
    assert found.redirect == {"exclude-outbound-ports": "5432,3306", "inbound-ports": "*"}
    assert found.resources == {"memory_request": "64Mi"}
    assert found.readiness == {"periodSeconds": 3}
    assert (found.log_level, found.image) == ("debug", "registry.example/proxy:2")
    assert (found.native, found.rewrites_probes, found.merges_metrics) == (False, False, False)
    assert found.settings is not None
    assert found.settings.concurrency == 4
    assert found.written == {"concurrency": 4, "terminationDrainDuration": "20s"}
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("annotations", "intercepted"),
    [
        ({"sidecar.istio.io/interceptionMode": "NONE"}, False),
        ({"sidecar.istio.io/interceptionMode": "REDIRECT"}, True),
        ({"proxy.istio.io/config": "interceptionMode: NONE"}, False),
        ({"proxy.istio.io/config": "interceptionMode: NONE", "sidecar.istio.io/interceptionMode": "REDIRECT"}, True),
    ],
)
def test_interception(annotations: dict[str, str], intercepted: bool) -> None:
    assert read(annotations).intercepted is intercepted


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("traffic.sidecar.istio.io/excludeOutboundPorts", "http", "'http': 'http' is no port"),
        ("traffic.sidecar.istio.io/includeOutboundPorts", "-1", "'-1': '-1' is no port"),
        ("traffic.sidecar.istio.io/includeOutboundIPRanges", "10.0.0.0", "is no range such as 10.0.0.0/8"),
        ("sidecar.istio.io/proxyCPU", "much", "must be a quantity such as 100m or 128Mi"),
        ("sidecar.istio.io/logLevel", "loud", "'loud' is none of debug, info"),
        ("sidecar.istio.io/nativeSidecar", "yes", "'yes' is neither"),
        ("sidecar.istio.io/interceptionMode", "TPROXY", "TPROXY is not honoured; write REDIRECT or NONE"),
        ("proxy.istio.io/config", "interceptionMode: TPROXY", "interceptionMode: TPROXY is not honoured"),
        ("proxy.istio.io/config", "concurency: 1", "concurency"),
        *((name, "x", f"annotation {name} is not honoured: {mend}") for name, mend in REFUSED.items()),
    ],
)
def test_what_cannot_be_honoured_is_refused(name: str, value: str, message: str) -> None:
    with pytest.raises(WishError) as refused:
        read({name: value})
    assert name in str(refused.value)
    assert message in str(refused.value)


def test_a_name_that_nobody_knows_is_told() -> None:
    found = read({"traffic.sidecar.istio.io/excludeOutboundPort": "80"})
    assert found.warnings == (
        "annotation traffic.sidecar.istio.io/excludeOutboundPort: there is none of that name; it changes nothing",
    )
