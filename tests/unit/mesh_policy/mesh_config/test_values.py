"""What the settings of a mesh are when little is set: Istio's defaults, and one layer over another."""

import subprocess
import sys
from datetime import timedelta

import pytest

from mesh_policy.mesh_config import MeshConfig, ProxyConfig, read_mesh_config, read_proxy_config
from mesh_policy.mesh_config.values import check_proxy_address, check_trust_domain


def test_defaults_are_those_of_istio() -> None:
    mesh = MeshConfig()
    assert (mesh.root_namespace, mesh.trust_domain, mesh.connect_timeout) == (
        "istio-system",
        "cluster.local",
        timedelta(seconds=10),
    )
    assert mesh.outbound_traffic_policy.mode == "ALLOW_ANY"
    assert read_mesh_config("outboundTrafficPolicy: {}").outbound_traffic_policy.mode == "REGISTRY_ONLY"
    assert mesh.locality_lb_setting.enabled
    assert mesh.default_config.service_cluster == "istio-proxy"
    assert mesh.to_yaml_value() == {}


def test_providers_are_those_of_istio_and_ones_own() -> None:
    mesh = read_mesh_config(
        "extensionProviders:\n"
        "- {name: envoy, envoyOtelAls: {service: a.b, port: 1}}\n"
        "- {name: z, zipkin: {service: a.b, port: '9411'}}\n"
    )
    assert {name: provider.kind for name, provider in mesh.providers.items()} == {
        "prometheus": "prometheus",
        "stackdriver": "stackdriver",
        "envoy": "envoyOtelAls",
        "z": "zipkin",
    }
    assert mesh.providers["z"].settings is mesh.extension_providers[1].zipkin
    assert [provider.name for provider in mesh.extension_providers] == ["envoy", "z"]


def test_what_was_set_is_written() -> None:
    text = "defaultConfig: {concurrency: 0, tracingServiceName: CANONICAL_NAME_ONLY}\nconnectTimeout: 1500ms"
    assert read_mesh_config(text).to_yaml_value() == {
        "connectTimeout": "1.5s",
        "defaultConfig": {"concurrency": 0, "tracingServiceName": "CANONICAL_NAME_ONLY"},
    }
    assert "serviceCluster" not in read_mesh_config(text).to_effective_value()["defaultConfig"]


def test_an_annotation_goes_over_the_mesh() -> None:
    mesh = read_mesh_config(
        "defaultConfig:\n"
        "  concurrency: 2\n"
        "  proxyMetadata: {A: '1', B: '1'}\n"
        "  tracing: {sampling: 5}\n"
        "  proxyHeaders: {server: {disabled: true}, xForwardedHost: {enabled: true}}\n"
    )
    annotation = read_proxy_config(
        "proxyMetadata: {B: '2'}\ntracing: {maxPathTagLength: 9}\nproxyHeaders: {requestId: {disabled: true}}\n"
        "tracingServiceName: CANONICAL_NAME_ONLY\n"
    )
    made = mesh.proxy_config(annotation)
    assert (made.concurrency, made.proxy_metadata) == (2, {"A": "1", "B": "2"})
    assert made.tracing is not None
    assert (made.tracing.sampling, made.tracing.max_path_tag_length) == (0, 9)  # a field is replaced as a whole
    assert made.proxy_headers is not None
    assert made.proxy_headers.server is not None  # one of the five that are kept
    assert made.proxy_headers.x_forwarded_host is None
    assert (made.service_cluster, made.tracing_service_name) == (None, "CANONICAL_NAME_ONLY")
    assert mesh.proxy_config() is mesh.default_config


def test_it_is_made_in_python_too() -> None:
    mesh = MeshConfig(trust_domain="a", default_config=ProxyConfig(concurrency=1))
    assert read_mesh_config("trustDomain: a\ndefaultConfig: {concurrency: 1}") == mesh
    with pytest.raises(ValueError, match="frozen"):
        mesh.trust_domain = "b"


@pytest.mark.parametrize("address", ["a:1", "a.b:65535", "10.0.0.1:1", "[::1]:1", "[fe80::1%eth0]:1", "a:+1", "a:01"])
def test_addresses_of_services(address: str) -> None:
    assert check_proxy_address(address) == address


@pytest.mark.parametrize(
    "address", ["", "a", "a:", ":1", "a:0", "a:-1", "a:65536", "::1:1", "[a:1", "a]:1", "a_b:1", "[[a]]:1"]
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match=r"write|port|DNS|empty|brackets"):
        check_proxy_address(address)


@pytest.mark.parametrize("domain", ["", ".", "a..b", "a_b", "a..", "-a"])
def test_what_is_no_trust_domain(domain: str) -> None:
    with pytest.raises(ValueError, match="is no trust domain"):
        check_trust_domain(domain)


def test_an_analysis_without_settings_does_not_wait_for_their_models() -> None:
    program = (
        "import sys, mesh_policy.analysis.checks, mesh_policy.analysis.inputs\n"
        "sys.exit('mesh_policy.mesh_config.mesh' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
