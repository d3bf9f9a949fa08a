"""The document that both proxies run: Envoy's bootstrap, made of the configurations of case files.

Each file has a listener of its own, named like the file. Every server behind the proxies has a cluster of its own name.
"""

import copy
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.parity.case_files import CaseFile
from tests.support import signed_tokens

Json = dict[str, Any]
TYPE = "type.googleapis.com/"
HTTP = TYPE + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
TCP = TYPE + "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
FILE_LOG = TYPE + "envoy.extensions.access_loggers.file.v3.FileAccessLog"
PROTOCOLS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
ROUTER = TYPE + "envoy.extensions.filters.http.router.v3.Router"
EVERYTHING = [{"match": {"prefix": "/"}, "route": {"cluster": "echo"}}]

LOGGED = {
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "authority": "%REQ(:AUTHORITY)%",
    "protocol": "%PROTOCOL%",
    "code": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "termination": "%CONNECTION_TERMINATION_DETAILS%",
    "failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "received": "%BYTES_RECEIVED%",
    "sent": "%BYTES_SENT%",
    "host": "%UPSTREAM_HOST%",
    "cluster": "%UPSTREAM_CLUSTER_RAW%",
    "route": "%ROUTE_NAME%",
    "listener": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "client": "client=%DOWNSTREAM_REMOTE_ADDRESS%",
    "name asked for": "%REQUESTED_SERVER_NAME%",
}
"""What is compared of the access log, by name."""
_PORT = re.compile(r":\$(\w+)")
MARK, MARKER = "=====", "marker"
"""A line of the log that ends a case, and the listener that writes it."""


def bootstrap(files: Iterable[CaseFile], ports: Mapping[str, int], log: Path, marker: str = MARKER) -> Json:
    """The static resources. ``ports`` are those of servers, and those of listeners as ``listener NAME``."""
    files = tuple(files)
    clusters = {name: cluster({"name": name, "hosts": [name]}, ports) for name in ports if " " not in name}
    for file in files:
        for given in file.config.get("clusters", ()):
            if given["name"] in clusters:
                raise ValueError(f"{file.folder}/{file.name}: there are two clusters {given['name']}")
            clusters[given["name"]] = cluster(given, ports)
    listeners = [_listener(file, ports[f"listener {file.key}"], log) for file in files]
    listeners.append(_marking(ports[f"listener {marker}"], log))
    secrets = [secret for file in files for secret in file.config.get("secrets", ())]
    resources: Json = {"listeners": listeners, "clusters": list(clusters.values())}
    if secrets:
        resources["secrets"] = secrets
    return _completed({"static_resources": resources}, ports, log)


def cluster(given: Mapping[str, Any], ports: Mapping[str, int]) -> Json:
    """A cluster in Envoy's words; ``hosts`` (names of servers) and ``http2`` are short for what they mean."""
    made: Json = {"connect_timeout": "5s", **copy.deepcopy(dict(given))}
    if "cluster_type" not in made:
        made.setdefault("type", "STATIC")
    hosts = made.pop("hosts", None)
    if hosts is not None:
        endpoints = [{"endpoint": {"address": address(ports[name])}} for name in hosts]
        places = [{"lb_endpoints": endpoints}] if endpoints else []
        made["load_assignment"] = {"cluster_name": made["name"], "endpoints": places}
    if made.pop("http2", False):
        options = {"@type": TYPE + PROTOCOLS, "explicit_http_config": {"http2_protocol_options": {}}}
        made["typed_extension_protocol_options"] = {PROTOCOLS: options}
    return made


def address(port: int) -> Json:
    """A port of loopback."""
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _listener(file: CaseFile, port: int, log: Path) -> Json:
    config = file.config
    if "whole" in config:  # made elsewhere
        return {**config["whole"], "name": file.key, "address": address(port)}
    chains = config.get("chains") or [config.get("chain", {})]
    made = {"name": file.key, "address": address(port), **config.get("listener", {})}
    made["filter_chains"] = [_chain(file, dict(chain), log) for chain in chains]
    return made


def _chain(file: CaseFile, chain: Json, log: Path) -> Json:
    """A filter chain; one of several may have a configuration of its own (``config``) in place of the file's."""
    config = {**file.config, **chain.pop("config", {})}
    before = chain.pop("filters", [])
    if "tcp" in config:
        proxy: Json = {"@type": TCP, "stat_prefix": file.key, "access_log": [file_log(log)], **config["tcp"]}
        last = {"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}
    else:
        last = {"name": "envoy.filters.network.http_connection_manager", "typed_config": _manager(file, config, log)}
    return {**chain, "filters": [*before, last]}


def _manager(file: CaseFile, config: Mapping[str, Any], log: Path) -> Json:
    hosts = config.get("virtual_hosts") or [
        {"name": file.key, "domains": ["*"], "routes": config.get("routes", EVERYTHING)}
    ]
    return {
        "@type": HTTP,
        "stat_prefix": file.key,
        "route_config": {"name": file.key, "virtual_hosts": hosts, **config.get("table", {})},
        "http_filters": [*config.get("filters", ()), _router(config.get("router", {}))],
        "access_log": [file_log(log)],
        **config.get("manager", {}),
    }


def _router(fields: Mapping[str, Any]) -> Json:
    return {"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER, **fields}}


def file_log(log: Path, text: str = "\t".join(LOGGED.values()) + "\n") -> Json:
    """An access log into the file that all share."""
    source = {"text_format_source": {"inline_string": text}}
    config = {"@type": FILE_LOG, "path": str(log), "log_format": source}
    return {"name": "envoy.access_loggers.file", "typed_config": config}


def _marking(port: int, log: Path) -> Json:
    manager = {
        "@type": HTTP,
        "stat_prefix": MARKER,
        "route_config": {
            "name": MARKER,
            "virtual_hosts": [
                {
                    "name": MARKER,
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}],
                }
            ],
        },
        "http_filters": [_router({})],
        "access_log": [file_log(log, f"{MARK}%REQ(:PATH)%\n")],
    }
    last = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    return {"name": MARKER, "address": address(port), "filter_chains": [{"filters": [last]}]}


def _completed(value: Any, ports: Mapping[str, int], log: Path) -> Any:
    """With types in full, ports for ``$NAME``, and paths of the folder for ``$/NAME``."""
    if isinstance(value, dict):
        return {key: _typed(key, _completed(item, ports, log)) for key, item in value.items()}
    if isinstance(value, list):
        return [_completed(item, ports, log) for item in value]
    if isinstance(value, str) and value.startswith("$"):
        if value == "$log":
            return str(log)
        if value.startswith("$/"):
            return str(log.parent.parent / value[2:])
        if value.startswith("$jwks "):
            return signed_tokens.key_set(value[6:])
        return ports[value[1:]]
    return with_ports(value, ports)


def with_ports(said: Any, ports: Mapping[str, int]) -> Any:
    """Texts with ports for ``:$NAME``."""
    if isinstance(said, dict):
        return {key: with_ports(item, ports) for key, item in said.items()}
    if isinstance(said, list):
        return [with_ports(item, ports) for item in said]
    return _PORT.sub(lambda match: f":{ports[match[1]]}", said) if isinstance(said, str) else said


def _typed(key: str, value: Any) -> Any:
    return TYPE + value if key == "@type" and "/" not in value else value
