"""What follows from an environment's settings for the mesh in its cluster: the values of ``mesh manifests``, and what it
makes."""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from typing import Any

from stacks import cluster
from stacks.environment import ClusterMesh, Environment
from stacks.remote import mesh_here

INGRESS, EGRESS = "istio-ingressgateway", "istio-egressgateway"
"""Names of the gateways' Services, as Istio has them."""
CONTROL = "istiod-external"
"""Name of the Service by which machines beside the cluster reach the control plane."""
IMAGES = ("control", "proxy")
"""Names of its images (of ``make images``)."""
ACCESS_LOG = {"accessLogFile": "/dev/stdout"}
"""What a mesh has where nothing is said of it, as on machines."""


def values(environment: Environment) -> dict[str, Any]:
    """For ``mesh manifests --values``. Raises :class:`ValueError` where there is no cluster."""
    chosen = cluster.settings(environment).mesh
    mesh, proxy = environment.mesh, environment.mesh.proxy
    said: dict[str, Any] = dict(ACCESS_LOG) if mesh.config is None else mesh.config.to_yaml_value()
    drain = f"{proxy.drain_seconds:g}s"
    config = {"concurrency": proxy.concurrency, "terminationDrainDuration": drain}
    config |= said.get("defaultConfig", {})
    return {
        "namespace": mesh.gateway.namespace,
        "repository": chosen.repository,
        "tag": chosen.tag,
        "replicas": chosen.replicas,
        "native": chosen.native_sidecars,
        "trust_domain": said.get("trustDomain", "cluster.local"),
        "log_level": proxy.log_level,
        "mesh_config": {**said, "defaultConfig": config},
        "gateways": _gateways(chosen, mesh.gateway.name),
        **_external(chosen),
    }


def manifests(environment: Environment, digests: Mapping[str, str]) -> list[dict[str, Any]]:
    """Every object of the mesh. ``digests`` is name to digest of images: with other ones pods are made anew. Raises
    :class:`subprocess.CalledProcessError`; the reason was printed."""
    chosen = values(environment)
    if known := " ".join(sorted(digests[name] for name in IMAGES if name in digests)):
        chosen["revision"] = hashlib.sha256(known.encode()).hexdigest()
    # The control plane's own knowledge, by its command: stacks import none of it.
    command = [mesh_here(), "manifests", "--values=-", "--output=json"]
    done = subprocess.run(command, input=json.dumps(chosen), stdout=subprocess.PIPE, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _external(chosen: ClusterMesh) -> dict[str, Any]:
    """The way to the control plane for machines beside the cluster, where there are any."""
    if not chosen.machines:
        return {}
    return {"external": {} if chosen.control_address is None else {"address": str(chosen.control_address)}}


def _gateways(chosen: ClusterMesh, label: str) -> list[dict[str, Any]]:
    ingress: dict[str, Any] = {
        "name": INGRESS,
        "label": label,
        "type": chosen.gateway_type,
        "replicas": chosen.gateway_replicas,
    }
    if chosen.gateway_address is not None:
        ingress["address"] = str(chosen.gateway_address)
    egress = [{"name": EGRESS, "label": "egressgateway", "type": "ClusterIP"}] if chosen.egress_gateway else []
    return [ingress, *egress]
