"""The files below ``policies/``: Istio's policies, and requests with the verdict that each must have.

The policies are compiled as for Envoy, for the inbound side of one workload; what comes of it runs on a real Envoy and on our
proxy, in the harness of ``tests/parity``. README.md beside the folder describes the form.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from mesh_api.node import Node
from mesh_api.xds.json import resources_to_json
from mesh_control.compiler import compile_proxy
from mesh_control.proxies import proxy_of
from mesh_policy.mesh_config import read_mesh_config
from mesh_simulation import Mesh
from tests.parity.case_files import LOADER, Case, CaseFile, parsed
from tests.parity.configuration import file_log
from tests.support import signed_tokens

POLICIES = Path(__file__).parent / "policies"
NODE = Node("sidecar~10.0.0.1~store.default~default.svc.cluster.local", metadata={"LABELS": {"app": "store"}})
HTTP_PORT, TCP_PORT = 8080, 9090
WORKLOAD = f"""
apiVersion: v1
kind: Service
metadata: {{name: store, namespace: default}}
spec:
  selector: {{app: store}}
  ports: [{{name: http, port: 80, targetPort: {HTTP_PORT}}}, {{name: tcp, port: 90, targetPort: {TCP_PORT}}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: store, namespace: default, labels: {{app: store}}}}
spec: {{serviceAccountName: store, containers: [{{name: store, image: store}}]}}
status: {{podIP: 10.0.0.1}}
"""
ALPN = {"http1": ["istio-http/1.1", "istio", "http/1.1"], "http2": ["istio-h2", "istio", "h2"]}
"""What a sidecar offers; by it a PERMISSIVE port tells the mesh's TLS from the application's."""
REFUSED = "refused"
"""The verdict of a connection that is not served."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A case, and its verdict: a status, or :data:`REFUSED`."""

    case: Case
    verdict: int | str


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A file whose policies are compiled: the same cases as ``file`` has them."""

    file: CaseFile
    expected: tuple[Expected, ...]


def read_all() -> list[PolicyFile]:
    """Every file."""
    return [read(path) for path in sorted(POLICIES.glob("*.yaml"))]


def read(path: Path) -> PolicyFile:
    """One file."""
    document = yaml.load(path.read_text("utf-8"), LOADER)
    verdicts, peer, tcp = document.pop("verdicts"), document.pop("as", None), document.pop("tcp", False)
    compiled = inbound(document.pop("policies"), document.pop("mesh", None), TCP_PORT if tcp else HTTP_PORT)
    rows = list(_rows(verdicts, peer))
    document["cases"] = {name: said for name, said, _ in rows}
    file = replace(parsed(document, "security", path.stem), config={"whole": compiled})
    verdict = {name: verdict for name, _, verdict in rows}
    return PolicyFile(file, tuple(Expected(case, verdict[case.name]) for case in file.cases))


def _rows(verdicts: Mapping[int | str, list[Any]], peer: str | None) -> Iterator[tuple[str, Any, int | str]]:
    """Name, conversation and verdict of each case. A name is what is said."""
    seen: set[str] = set()
    for verdict, listed in verdicts.items():
        for said in listed:
            row: dict[str, Any] = {"ask": said} if isinstance(said, str) else dict(said)
            shown, asked_for = row.pop("as", peer), row.pop("sni", None)
            if "line" in row:
                request = {key: row.pop(key) for key in ("line", "headers", "body") if key in row}
                row["ask"] = request
            name = row.pop("name", None) or _named(row)
            name = name if shown == peer or shown is None else f"{name} as {shown}"
            name = name if asked_for is None else f"{name} for {asked_for}"
            if name in seen:
                raise ValueError(f"{name}: stands twice")
            seen.add(name)
            if shown is not None:
                certificate = {} if shown == "nobody" else {"certificate": shown}
                row["tls"] = {"protocols": ALPN[row.get("protocol", "http1")], **certificate}
            if asked_for is not None:
                row["tls"]["name"] = asked_for
            yield name, row, verdict


def _named(row: Mapping[str, Any]) -> str:
    asked = row.get("ask", row.get("raw", row.get("talk")))
    if isinstance(asked, Mapping):
        fields = asked.get("headers", {})
        pairs = fields.items() if isinstance(fields, Mapping) else fields
        asked = ", ".join([asked["line"], *(f"{name}: {value}" for name, value in pairs)])
    shown = asked if isinstance(asked, str) else json.dumps(asked)
    return shown if row.get("protocol", "http1") == "http1" else f"{shown} ({row['protocol']})"


def inbound(policies: list[Any], mesh: Mapping[str, Any] | None, port: int) -> dict[str, Any]:
    """The listener that the control plane makes for these policies, but that it leads to the suite's servers, writes into
    their log, and has its certificates from files."""
    text = yaml.safe_dump_all(_with_keys(policies))
    settings = None if mesh is None else read_mesh_config(yaml.safe_dump({"enableTracing": False, **mesh}), "mesh")
    world = Mesh.read([("workload", WORKLOAD), ("policies", text)], mesh_config=settings).world
    listeners = resources_to_json(compile_proxy(world, proxy_of(NODE)))["listeners"]
    (made,) = (listener for listener in listeners if listener["name"] == "virtualInbound")
    chains = [dict(chain) for chain in made["filter_chains"] if _is_for(chain, port)]
    for chain in chains:
        chain["filter_chain_match"] = {k: v for k, v in chain["filter_chain_match"].items() if k != "destination_port"}
    inspectors = [one for one in made["listener_filters"] if one["name"] != "envoy.filters.listener.original_dst"]
    return {"listener_filters": [_unconditional(one) for one in inspectors], "filter_chains": _local(chains)}


def _is_for(chain: Mapping[str, Any], port: int) -> bool:
    return bool(chain.get("filter_chain_match", {}).get("destination_port") == port)


def _unconditional(inspector: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in inspector.items() if key != "filter_disabled"}


def _with_keys(value: Any) -> Any:
    """``$jwks KEY ...`` is a set of keys, as in the files of ``tests/parity``."""
    if isinstance(value, dict):
        return {key: _with_keys(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_keys(item) for item in value]
    return signed_tokens.key_set(value[6:]) if isinstance(value, str) and value.startswith("$jwks ") else value


def _local(value: Any) -> Any:
    """Compiled configuration with the suite's own servers, log and certificates."""
    if isinstance(value, list):
        return [_local(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {key: _local(item) for key, item in value.items()}
    if str(made.get("cluster", "")).startswith("inbound|"):
        made["cluster"] = "echo"
    if "access_log" in made:
        made["access_log"] = [file_log(Path("$log"))]
    if "tls_certificate_sds_secret_configs" in made:
        del made["tls_certificate_sds_secret_configs"]
        files = {"certificate_chain": "$/proxy.pem", "private_key": "$/proxy.key"}
        made["tls_certificates"] = [{key: {"filename": file} for key, file in files.items()}]
        believed = made.pop("combined_validation_context")["default_validation_context"]
        made["validation_context"] = {**believed, "trusted_ca": {"filename": "$/roots.pem"}}
    return made
