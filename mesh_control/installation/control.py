"""The control plane in a cluster, as objects. Pure."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from mesh_control.injection import manifest as injection
from mesh_control.injection import stopping
from mesh_control.injection.containers import confined
from mesh_control.installation.values import External, Installation
from mesh_control.sources.kubernetes.rbac import CA_SECRET, LEASE, manifests, service_account
from mesh_control.webhook import manifest as validation
from mesh_control.webhook.manifest import ServiceReference
from mesh_policy.schema.crds import definition, istio_kinds
from mesh_policy.yaml_text import written

Value = dict[str, Any]
NAME = LEASE
"""Of the Deployment, its account, its rights and its lease."""
SERVICE = "istiod"
"""Of the Service: proxies of Istio know the control plane by it."""
EXTERNAL = "istiod-external"
"""Of the Service by which machines beside the cluster reach it."""
MESH_CONFIG = "istio"
USER = 65532
"""The image's own."""
XDS, MONITORING, WEBHOOK = 15012, 15014, 15017
LEAVING_SECONDS = 10
"""How long a pod of the mesh that is to end still takes connections. A proxy that has lost one replica of the control plane
must not be led to it again, and be without news of hosts that go at the same time."""
_STATE, _SOCKETS, _SETTINGS = "/var/lib/meshwright", "/run/meshwright", "/etc/meshwright"


def definitions() -> Iterator[Value]:
    """The kinds that people write."""
    for kind in istio_kinds():
        yield definition(kind)


def labels(name: str) -> dict[str, str]:
    """Of every object of a component."""
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "meshwright"}


def server_names(values: Installation) -> tuple[str, ...]:
    """What the control plane is called in its certificate."""
    return (f"{SERVICE}.{values.namespace}.svc", f"{SERVICE}.{values.namespace}.svc.cluster.local")


def settings(values: Installation) -> Value:
    """The control plane's own settings (:mod:`mesh_control.settings`)."""
    names = list(server_names(values))
    template = {
        "image": values.image("proxy"),
        "pull_policy": values.pull_policy,
        "pull_secrets": list(values.pull_secrets),
        "control": f"{names[0]}:{XDS}",
        "control_name": names[0],
        "native": values.native,
        "cluster": values.cluster,
        "network": values.network,
        "log_level": values.log_level,
        **values.proxy.model_dump(),
    }
    return {
        "xds_address": None,
        "monitoring_address": f"0.0.0.0:{MONITORING}",
        "debug_on_loopback": True,
        "socket": f"{_SOCKETS}/control.sock",
        "state_dir": _STATE,
        "log_level": values.log_level,
        "ca": {
            "address": f"0.0.0.0:{XDS}",
            "server_names": names,
            "trust_domain": values.trust_domain,
            "secret": f"{values.namespace}/{CA_SECRET}",
        },
        "webhook": {"address": f"0.0.0.0:{WEBHOOK}", "server_names": names},
        "kubernetes": {"mesh_config": f"{values.namespace}/{MESH_CONFIG}"},
        "injection": template,
    }


def objects(values: Installation) -> Iterator[Value]:
    """Everything but the webhooks, in the order in which it is made."""
    namespace = values.namespace
    text = written(settings(values))
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    yield _object(values, "v1", "ServiceAccount", NAME)
    subject = service_account(NAME, namespace)
    yield from manifests(subject, namespace, NAME, f"{namespace}/{MESH_CONFIG}")
    yield _object(values, "v1", "ConfigMap", NAME, data={"control.yml": text})
    yield _object(values, "v1", "ConfigMap", MESH_CONFIG, data={"mesh": values.mesh_config_text})
    ports = [("https-dns", XDS, XDS), ("https-webhook", 443, WEBHOOK), ("http-monitoring", MONITORING, MONITORING)]
    yield _object(
        values,
        "v1",
        "Service",
        SERVICE,
        spec={
            "selector": {"app.kubernetes.io/name": NAME},
            "ports": [
                {"name": name, "port": port, "targetPort": target, "protocol": "TCP"} for name, port, target in ports
            ],
        },
    )
    if values.external is not None:
        yield _object(values, "v1", "Service", EXTERNAL, spec=_external(values.external))
    yield _object(
        values,
        "policy/v1",
        "PodDisruptionBudget",
        NAME,
        spec={"maxUnavailable": 1, "selector": {"matchLabels": {"app.kubernetes.io/name": NAME}}},
    )
    yield _object(values, "apps/v1", "Deployment", NAME, spec=_deployment(values, text))


def webhooks(values: Installation) -> Iterator[Value]:
    """By these the API server asks. The roots of the answers are the control plane's to write, so they are not among it."""
    for path, made in (
        (validation.PATH, validation.configuration("", {})),
        (injection.PATH, injection.configuration("", {}, values.namespace)),
    ):
        for webhook in made["webhooks"]:
            webhook["clientConfig"] = ServiceReference(SERVICE, values.namespace).to_client(path)
        yield made


def revision(values: Installation) -> dict[str, str]:
    """As an annotation of pods."""
    return {"meshwright.io/revision": values.revision} if values.revision else {}


def pull_secrets(values: Installation) -> Value:
    """Of pods, where the registry asks for a login."""
    return {"imagePullSecrets": [{"name": name} for name in values.pull_secrets]} if values.pull_secrets else {}


def spread(name: str) -> list[Value]:
    """Copies of a component on different machines, where there are several."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/name": name}},
        }
    ]


def _object(values: Installation, version: str, kind: str, name: str, **fields: Any) -> Value:
    metadata = {"name": name, "namespace": values.namespace, "labels": labels(NAME)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}


def _external(external: External) -> Value:
    address = {} if external.address is None else {"loadBalancerIP": external.address}
    return {
        "type": "LoadBalancer",
        "selector": {"app.kubernetes.io/name": NAME},
        # Who has proven nothing yet is counted by address, so that must be the machine's own and no node's.
        "externalTrafficPolicy": "Local",
        # The address is the only way in: no port of every node beside it.
        "allocateLoadBalancerNodePorts": False,
        "ports": [{"name": "tls-xds", "port": XDS, "targetPort": XDS, "protocol": "TCP"}],
        **address,
    }


def _deployment(values: Installation, text: str) -> Value:
    # Settings are read at the start: other ones are another Deployment.
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return {
        "replicas": values.replicas,
        "selector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {
            "metadata": {
                "labels": {**labels(NAME), "app": SERVICE, "sidecar.istio.io/inject": "false"},
                "annotations": {
                    "meshwright.io/settings": digest,
                    "prometheus.io/scrape": "true",
                    "prometheus.io/port": str(MONITORING),
                    **revision(values),
                },
            },
            "spec": _pod(values),
        },
    }


def _pod(values: Installation) -> Value:
    folders: Mapping[str, str] = {"state": _STATE, "sockets": _SOCKETS, "scratch": "/tmp"}  # noqa: S108 - a volume
    ready = {"httpGet": {"path": "/ready", "port": MONITORING, "scheme": "HTTP"}}
    container = {
        "name": "control",
        "image": values.image("control"),
        "imagePullPolicy": values.pull_policy,
        "args": ["--config", f"{_SETTINGS}/control.yml"],
        "ports": [
            {"name": name, "containerPort": port, "protocol": "TCP"}
            for name, port in (("xds", XDS), ("monitoring", MONITORING), ("webhook", WEBHOOK))
        ],
        "lifecycle": stopping.hook(LEAVING_SECONDS),
        "resources": values.resources.to_container(),
        "securityContext": confined(USER),
        "startupProbe": {**ready, "periodSeconds": 1, "failureThreshold": 120, "timeoutSeconds": 5},
        "readinessProbe": {**ready, "periodSeconds": 3, "failureThreshold": 2, "timeoutSeconds": 5},
        "volumeMounts": [
            {"name": "settings", "mountPath": _SETTINGS, "readOnly": True},
            *({"name": name, "mountPath": path} for name, path in folders.items()),
        ],
    }
    return {
        "serviceAccountName": NAME,
        "containers": [container],
        "topologySpreadConstraints": spread(NAME),
        "securityContext": {"fsGroup": USER, "runAsNonRoot": True},
        "terminationGracePeriodSeconds": LEAVING_SECONDS + 30,
        **pull_secrets(values),
        "volumes": [
            {"name": "settings", "configMap": {"name": NAME}},
            {"name": "state", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}},
            {"name": "sockets", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "scratch", "emptyDir": {"sizeLimit": "64Mi"}},
        ],
    }
