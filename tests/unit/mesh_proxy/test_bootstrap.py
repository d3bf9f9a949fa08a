"""The bootstrap: what is taken, what is left out on purpose, and every refusal with its place."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mesh_api.config import ClusterType, SocketAddress
from mesh_proxy.bootstrap import ControlPlane, ControlTls, DocumentError, Identity, ProxySettings, load_bootstrap

HTTP2 = {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
}


def endpoint(address: dict[str, Any]) -> dict[str, Any]:
    return {"lb_endpoints": [{"endpoint": {"address": address}}]}


def socket_address(address: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": address, "port_value": port}}


def cluster(name: str, kind: str = "STATIC", *addresses: dict[str, Any], **more: Any) -> dict[str, Any]:
    found = addresses or (socket_address("127.0.0.1", 15010),)
    return {
        "name": name,
        "type": kind,
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": name, "endpoints": [endpoint(each) for each in found]},
        **more,
    }


COMPLETE: dict[str, Any] = {
    "node": {
        "id": "sidecar~10.0.0.1~order-1.default~default.svc.cluster.local",
        "cluster": "order.default",
        "locality": {"region": "r", "zone": "z", "sub_zone": "s"},
        "metadata": {
            "NAMESPACE": "default",
            "MESHWRIGHT": {
                "concurrency": 3,
                "state_dir": "/var/lib/p",
                "drain_seconds": 2,
                "ready_port": 15021,
                "stats_port": 15090,
                "monitoring_address": "127.0.0.1",
                "token_file": "/etc/token",
                "control_root_file": "/etc/roots.pem",
                "control_server_name": "control.example",
                "control_certificate_file": "/etc/chain.pem",
                "control_key_file": "/etc/key.pem",
                "log_level": "debug",
                "log_path": "/var/log/p.log",
            },
        },
    },
    "admin": {"address": socket_address("127.0.0.1", 15000)},
    "dynamic_resources": {
        "ads_config": {
            "api_type": "GRPC",
            "transport_api_version": "V3",
            "grpc_services": [
                {
                    "envoy_grpc": {"cluster_name": "xds-grpc"},
                    "initial_metadata": [{"key": "authorization", "value": "Bearer t"}],
                }
            ],
        },
        "cds_config": {"ads": {}, "resource_api_version": "V3"},
        "lds_config": {"ads": {}, "resource_api_version": "V3"},
    },
    "static_resources": {
        "clusters": [cluster("xds-grpc", typed_extension_protocol_options=HTTP2), cluster("a")],
        "listeners": [],
    },
    "layered_runtime": {"layers": []},
    "cluster_manager": {"local_cluster_name": "a", "load_stats_config": {}},
}


def write(directory: Path, document: Any, name: str = "b.yml") -> Path:
    file = directory / name
    file.write_text(document if isinstance(document, str) else yaml.safe_dump(document, sort_keys=False))
    return file


def changed(path: str, value: Any) -> dict[str, Any]:
    """The complete document with one field set, or taken away when ``value`` is ``...``."""
    document = copy.deepcopy(COMPLETE)
    *parents, last = path.split("/")
    at: Any = document
    for name in parents:
        at = at[int(name)] if name.isdigit() else at[name]
    if value is ...:
        del at[last]
    else:
        at[int(last) if last.isdigit() else last] = value
    return document


def test_everything_is_taken(tmp_path: Path) -> None:
    bootstrap = load_bootstrap(write(tmp_path, COMPLETE))
    assert bootstrap.settings == ProxySettings(
        concurrency=3,
        state_dir=Path("/var/lib/p"),
        drain_seconds=2.0,
        ready_port=15021,
        stats_port=15090,
        monitoring_address="127.0.0.1",
        token_file=Path("/etc/token"),
        control_tls=ControlTls(Path("/etc/roots.pem"), "control.example", Path("/etc/chain.pem"), Path("/etc/key.pem")),
        log_level="debug",
        log_path=Path("/var/log/p.log"),
    )
    assert bootstrap.admin == SocketAddress("127.0.0.1", 15000)
    assert bootstrap.control_plane == ControlPlane(
        "xds-grpc", "ipv4:127.0.0.1:15010", (("authorization", "Bearer t"),), 2.0
    )
    assert (bootstrap.node.region, bootstrap.node.zone, bootstrap.node.sub_zone) == ("r", "z", "s")


def test_workers_do_not_get_the_control_planes_cluster(tmp_path: Path) -> None:
    static = load_bootstrap(write(tmp_path, COMPLETE)).static
    assert [(each.name, each.type) for each in static.clusters] == [("a", ClusterType.STATIC)]


def test_own_settings_are_not_sent_to_the_control_plane(tmp_path: Path) -> None:
    assert load_bootstrap(write(tmp_path, COMPLETE)).node.metadata == {"NAMESPACE": "default"}


def test_json_is_read_as_well(tmp_path: Path) -> None:
    assert load_bootstrap(write(tmp_path, json.dumps(COMPLETE))) == load_bootstrap(write(tmp_path, COMPLETE))


def test_static_resources_need_nothing_else(tmp_path: Path) -> None:
    bootstrap = load_bootstrap(write(tmp_path, {"static_resources": {"clusters": [cluster("a")]}}), cores=4)
    assert (bootstrap.control_plane, bootstrap.admin, bootstrap.settings) == (None, None, ProxySettings(4))


TARGETS = [
    (cluster("xds-grpc", "STRICT_DNS", socket_address("istiod.local", 15010)), "dns:///istiod.local:15010"),
    (
        cluster("xds-grpc", "STATIC", socket_address("10.0.0.1", 1), socket_address("10.0.0.2", 2)),
        "ipv4:10.0.0.1:1,10.0.0.2:2",
    ),
    (cluster("xds-grpc", "STATIC", socket_address("::1", 1)), "ipv6:[::1]:1"),
    (cluster("xds-grpc", "STATIC", {"pipe": {"path": "/run/xds.sock"}}), "unix:/run/xds.sock"),
]


@pytest.mark.parametrize(("static", "target"), TARGETS, ids=[target for _, target in TARGETS])
def test_address_of_the_control_plane_comes_from_its_cluster(
    tmp_path: Path, static: dict[str, Any], target: str
) -> None:
    document = changed("static_resources/clusters", [{**static, "typed_extension_protocol_options": HTTP2}])
    control_plane = load_bootstrap(write(tmp_path, document)).control_plane
    assert control_plane is not None
    assert control_plane.target == target


def test_google_grpc_names_its_target(tmp_path: Path) -> None:
    services = [{"google_grpc": {"target_uri": "dns:///istiod:15010", "stat_prefix": "x"}}]
    control_plane = load_bootstrap(
        write(tmp_path, changed("dynamic_resources/ads_config/grpc_services", services))
    ).control_plane
    assert control_plane == ControlPlane("dns:///istiod:15010", "dns:///istiod:15010")


def certified(**changes: str | None) -> dict[str, Any]:
    """The complete bootstrap of a proxy that gets its certificate by itself, with other settings of its own."""
    document = changed("node/metadata/MESHWRIGHT/identity_dir", "/var/lib/p/identity")
    own = document["node"]["metadata"]["MESHWRIGHT"]
    for name in ("control_certificate_file", "control_key_file"):
        del own[name]
    own.update(changes)
    return document


def test_a_proxy_that_gets_its_certificate_by_itself_shows_it_and_its_token_to_the_authority_alone(
    tmp_path: Path,
) -> None:
    settings = load_bootstrap(write(tmp_path, certified())).settings
    folder, roots = Path("/var/lib/p/identity"), Path("/etc/roots.pem")
    assert settings.identity == Identity(folder, Path("/etc/token"), roots, "control.example")
    assert settings.token_file is None
    pair = folder / "identity.pem"
    assert settings.control_tls == ControlTls(folder / "roots.pem", "control.example", pair, pair)
    assert settings.identity.joining() == ControlTls(roots, "control.example")


@pytest.mark.parametrize("missing", ["control_root_file", "token_file"])
def test_what_it_needs_for_its_first_certificate_is_named(tmp_path: Path, missing: str) -> None:
    with pytest.raises(DocumentError, match=f"{missing}: is missing"):
        load_bootstrap(write(tmp_path, certified(**{missing: None})))


ADS = "dynamic_resources/ads_config"
OWN = "node/metadata/MESHWRIGHT"
REFUSED = [
    ("hds_config", {}, "hds_config: is not known here, or not supported"),
    ("node/id", 5, "node.id: expected a string, found 5"),
    ("node/id", ..., "node.id: is missing"),
    ("node/nickname", "x", "node.nickname: is not known"),
    ("node/locality/country", "x", "node.locality.country: is not known"),
    (f"{OWN}/concurrency", 0, "node.metadata.MESHWRIGHT.concurrency: expected a whole number from 1 to 256, found 0"),
    (f"{OWN}/concurrency", True, "concurrency: expected a whole number from 1 to 256, found True"),
    (f"{OWN}/drain_seconds", -1, "drain_seconds: expected a number from 0 to 3600, found -1"),
    (f"{OWN}/ready_port", 70000, "ready_port: expected a whole number from 1 to 65535, found 70000"),
    (f"{OWN}/state_dir", "state", "state_dir: 'state' is not an absolute path"),
    (f"{OWN}/log_level", "loud", "log_level: 'loud' is none of debug, info, warning, error"),
    (f"{OWN}/monitoring_address", "here", "monitoring_address: 'here' is no IP address"),
    (f"{OWN}/control_key_file", ..., "control_key_file: is missing: a certificate and its key go together"),
    (f"{OWN}/control_root_file", ..., "control_root_file: is missing: by it the control plane is known"),
    (
        f"{OWN}/identity_dir",
        "/var/lib/p/identity",
        "control_certificate_file: the proxy gets its certificate by itself",
    ),
    (f"{OWN}/identity_dir", "here", "identity_dir: 'here' is not an absolute path"),
    (f"{OWN}/concurency", 1, "node.metadata.MESHWRIGHT.concurency: is not known"),
    ("admin/address", ..., "admin.address: is missing"),
    ("admin/address/socket_address/address", "0.0.0.0", "is no loopback address"),
    ("admin/address/socket_address/protocol", "UDP", "'UDP' is not supported, only 'TCP'"),
    (f"{ADS}/api_type", "REST", "dynamic_resources.ads_config.api_type: 'REST' is none of GRPC, DELTA_GRPC"),
    (f"{ADS}/transport_api_version", "V2", "'V2' is not supported, only 'V3'"),
    (f"{ADS}/grpc_services", [], "ads_config.grpc_services: expected one service, found 0"),
    (f"{ADS}/grpc_services", {}, "ads_config.grpc_services: expected a list, found a mapping"),
    (f"{ADS}/grpc_services/0/envoy_grpc", ..., "grpc_services[0]: expected one of envoy_grpc and google_grpc"),
    (f"{ADS}/grpc_services/0/envoy_grpc/cluster_name", "other", "cluster_name: there is no static cluster 'other'"),
    (f"{ADS}/grpc_services/0/envoy_grpc/cluster_name", "a", "gRPC needs HTTP/2"),
    (f"{ADS}/grpc_services/0/initial_metadata/0/key", "Authorization", "has capitals"),
    ("dynamic_resources/cds_config", ..., "dynamic_resources.cds_config: is missing"),
    ("dynamic_resources/lds_config/ads", ..., "lds_config.ads: is missing"),
    ("dynamic_resources/lds_config/path_config_source", {}, "lds_config.path_config_source: is not known"),
    ("static_resources/secrets", [{}], "static_resources.secrets[0].name: is missing"),
    ("static_resources/secrets", [{"name": "a"}], "secrets[0]: expected one of tls_certificate and validation_context"),
    ("static_resources/secrets", [{"name": "a", "session_ticket_keys": {}}], "session_ticket_keys: is not known here"),
    (
        "static_resources/secrets",
        [{"name": "a", "tls_certificate": {"certificate_chain": {"filename": "/none"}}}],
        "secrets[0].tls_certificate.certificate_chain.filename: /none cannot be read: No such file or directory",
    ),
    (
        "static_resources/secrets",
        [{"name": "a", "validation_context": {"trusted_ca": {"inline_bytes": "*"}}}],
        "secrets[0].validation_context.trusted_ca.inline_bytes: is no base64",
    ),
    (
        "static_resources/secrets",
        [{"name": "a", "validation_context": {"trusted_ca": {}}}],
        "trusted_ca: expected one of filename, inline_string, inline_bytes",
    ),
    (
        "static_resources/secrets",
        [{"name": "a", "validation_context": {"trusted_ca": {"inline_string": "x"}}}] * 2,
        "secrets[1].name: the name 'a' is taken by another of the secrets",
    ),
    ("static_resources/clusters/1", cluster("xds-grpc"), "clusters[1].name: the name 'xds-grpc' is taken"),
    ("static_resources/clusters/1/colour", "red", "static_resources.clusters[1]: cluster a: "),
    (
        "static_resources/clusters/1",
        {"name": "e", "type": "EDS", "eds_cluster_config": {"eds_config": {"ads": {}}}},
        "static_resources: refers to what is not there: endpoints e",
    ),
    ("static_resources/listeners", ["x"], "static_resources.listeners[0]: expected a mapping, found 'x'"),
]


@pytest.mark.parametrize(("path", "value", "message"), REFUSED, ids=[message for _, _, message in REFUSED])
def test_refusal_names_file_place_and_reason(tmp_path: Path, path: str, value: Any, message: str) -> None:
    file = write(tmp_path, changed(path, value))
    with pytest.raises(DocumentError) as caught:
        load_bootstrap(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert message in str(caught.value)


UNREADABLE = [
    ("a: [", "while parsing"),
    ("a: 1\na: 2", "line 2: a stands there twice"),
    ("- 1", "expected a mapping, found a list"),
    ("", "expected a mapping, found nothing"),
    ("1: x", "the key 1 is not a string"),
]


@pytest.mark.parametrize(("text", "message"), UNREADABLE)
def test_document_that_is_no_bootstrap(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        load_bootstrap(write(tmp_path, text))


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"none\.yml: No such file"):
        load_bootstrap(tmp_path / "none.yml")
