"""What the control plane says of itself: proxies and sources, everything that is in force, metrics."""

from collections import Counter
from typing import Any

from mesh_control.config_dump import state_of
from mesh_control.control import Control
from mesh_control.proxies import proxy_of
from mesh_control.proxy_settings import passed_over
from mesh_control.push import Progress
from mesh_control.redaction import KEPT_FORM, redacted
from mesh_control.services import Workload
from mesh_policy.yaml_text import written


def status(control: Control) -> dict[str, Any]:
    """Everything about the proxies."""
    progress, nodes = control.hub.progress(), control.hub.nodes()
    return {
        "version": control.hub.version,
        "missing": control.missing(),
        "problems": [
            *control.state.problems(),
            *control.secrets.problems(),
            *_passed_over(control),
            *([str(back)] if (back := control.hub.rolled_back) is not None else []),
        ],
        "sources": [{"name": source.name, "synced": source.synced} for source in control.state.sources],
        "registrations": control.state.registrations.status() if control.state.registrations is not None else [],
        "proxies": {
            name: {
                "synced": progress[name] is Progress.ACKNOWLEDGED,
                "state": progress[name].value,
                "node": nodes[name].id,
                "software": nodes[name].user_agent,
                "types": {
                    kind: {
                        "sent": s.version_sent,
                        "acked": s.version_acked,
                        "error": s.error,
                        "subscribed": s.subscribed,
                        "state": state_of(s),
                    }
                    for kind, s in kinds.items()
                },
            }
            for name, kinds in control.hub.status().items()
        },
    }


def _passed_over(control: Control) -> list[str]:
    """What connected proxies bring along in their settings, and what has no effect."""
    return [
        f"{name}: PROXY_CONFIG.{line}"
        for name, state in control.hub.current().items()
        if state.proxy is not None and state.proxy.settings is not None
        for line in passed_over(state.proxy.settings)
    ]


def everything(control: Control) -> dict[str, Any]:
    """What is in force, for ``mesh analyze`` and ``mesh describe``: the policies as YAML, and the services and
    workloads that they are for. Keys that nobody else may have are left out of them."""
    world = control.state.world
    hosts: dict[tuple[str, str, str], list[str]] = {}
    for hostname, members in world.members.items():
        for workload in members:
            hosts.setdefault(_place(workload), []).append(hostname)
    known = {_place(workload): workload for members in world.members.values() for workload in members}
    return {
        "policies": "---\n".join(written(redacted(policy.to_document(), KEPT_FORM)) for policy in world.policies),
        "services": [
            {
                "hostname": service.hostname,
                "namespace": service.namespace,
                "name": service.name,
                "addresses": list(service.addresses),
                "ports": [
                    {"name": p.name, "number": p.number, "protocol": p.protocol.value, "target": p.target}
                    for p in service.ports
                ],
            }
            for service in world.services
        ],
        "workloads": [
            {
                "name": workload.name,
                "namespace": workload.namespace,
                "labels": dict(workload.labels),
                "address": workload.address,
                "service_account": workload.service_account,
                "sidecar": workload.sidecar,
                "ports": dict(workload.ports),
                "hosts": hosts.get(_place(workload), []),
            }
            for workload in (known | {_place(workload): workload for workload in world.workloads}).values()
        ],
        "gateways": [
            {"name": proxy.name, "namespace": proxy.namespace, "labels": dict(proxy.labels)}
            for proxy in map(proxy_of, control.hub.nodes().values())
            if proxy.is_gateway
        ],
    }


def exposition(control: Control, release: str) -> str:
    """The metrics, of this ``release`` of the software."""
    world, progress = control.state.world, control.hub.progress()
    gauges = {
        "pilot_services": len(world.services),
        "pilot_virt_services": len(world.virtual_services),
        "meshwright_control_missing_proxies": len(control.missing()),
        "meshwright_control_unsynced_proxies": sum(p is not Progress.ACKNOWLEDGED for p in progress.values()),
        "meshwright_control_source_problems": len(control.state.problems()),
    }
    control.metrics.gauge("pilot_info", 1, version=release)
    versions = Counter(node.user_agent or "unknown" for node in control.hub.nodes().values())
    control.versions |= versions.keys()
    for version in control.versions:
        control.metrics.gauge("pilot_xds", versions[version], version=version)
    for name, value in gauges.items():
        control.metrics.gauge(name, value)
    return control.metrics.exposition()


def _place(workload: Workload) -> tuple[str, str, str]:
    """By which a workload is the same one in each of its services, of which each may call its ports otherwise."""
    return workload.namespace, workload.name, workload.address
