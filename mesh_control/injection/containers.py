"""The containers and volumes that a pod gets, as data. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mesh_api import pod
from mesh_api.pod import PodProxy
from mesh_control.injection.template import Template
from mesh_control.injection.wishes import Wishes
from mesh_policy.objects.workloads import PROXY_CONTAINER

REDIRECT_CONTAINER: Final = "istio-init"
"""Name of the container that has connections come to the proxy (Istio's)."""
TOKEN_SECONDS: Final = 43200
_STATE, _TOKEN, _ROOTS, _SCRATCH = "meshwright-state", "istio-token", "istiod-ca-cert", "meshwright-tmp"
VOLUMES: Final = (_STATE, _TOKEN, _ROOTS, _SCRATCH)
Value = dict[str, Any]


def proxy(
    template: Template, wishes: Wishes, settings: PodProxy, environment: Mapping[str, str], *, native: bool
) -> Value:
    """The proxy's container; ``native``: as one of Kubernetes' sidecar containers, which the application waits for."""
    limits = template.resources(**wishes.resources)
    container: Value = {
        "name": PROXY_CONTAINER,
        "image": wishes.image or template.image,
        "imagePullPolicy": template.pull_policy,
        "args": ["pod"],
        "env": variables(settings, environment),
        "ports": [{"containerPort": pod.STATS, "name": "http-envoy-prom", "protocol": "TCP"}],
        "resources": {name: dict(values) for name, values in limits.items()},
        "securityContext": confined(),
        "startupProbe": {**ready(), "periodSeconds": 1, "failureThreshold": 600, "timeoutSeconds": 3},
        "readinessProbe": {
            **ready(),
            "periodSeconds": 15,
            "failureThreshold": 4,
            "timeoutSeconds": 3,
            **wishes.readiness,
        },
        "volumeMounts": mounts(),
    }
    if native:
        return {**container, "restartPolicy": "Always"}
    # The kubelet starts the next container when this command has ended: the application finds its proxy ready.
    command = ["/usr/bin/python3", "-I", "-m", "mesh_proxy", "wait"]
    return {**container, "lifecycle": {"postStart": {"exec": {"command": command}}}}


def redirect(template: Template, wishes: Wishes) -> Value:
    """The container that makes the rules, and ends."""
    options = [f"--{name}={value}" for name, value in sorted(wishes.redirect.items())]
    return {
        "name": REDIRECT_CONTAINER,
        "image": wishes.image or template.image,
        "imagePullPolicy": template.pull_policy,
        "args": ["redirect", *options, f"--user={pod.PROXY_USER}"],
        "resources": {name: dict(values) for name, values in template.resources(**wishes.resources).items()},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsGroup": 0,
            "runAsNonRoot": False,
            "runAsUser": 0,
        },
    }


def confined(user: int = pod.PROXY_USER) -> Value:
    """A container that may do nothing but talk."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "runAsGroup": user,
        "runAsNonRoot": True,
        "runAsUser": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def variables(settings: PodProxy, environment: Mapping[str, str]) -> list[Value]:
    """Of the proxy's container."""
    fields = [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in pod.FIELDS.items()]
    others = [{"name": name, "value": value} for name, value in sorted(environment.items())]
    return [{"name": pod.VARIABLE, "value": settings.to_json()}, *fields, *others]


def mounts() -> list[Value]:
    """Where the proxy finds what it needs."""
    return [
        {"name": _STATE, "mountPath": pod.STATE},
        {"name": _TOKEN, "mountPath": pod.TOKENS, "readOnly": True},
        {"name": _ROOTS, "mountPath": pod.ROOTS, "readOnly": True},
        {"name": _SCRATCH, "mountPath": "/tmp"},  # noqa: S108 - of its own container
    ]


def volumes() -> list[Value]:
    """Keys are kept in memory."""
    token = {
        "audience": pod.TOKEN_AUDIENCE,
        "expirationSeconds": TOKEN_SECONDS,
        "path": pod.TOKEN_FILE.rpartition("/")[2],
    }
    return [
        {"name": _STATE, "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
        {"name": _TOKEN, "projected": {"sources": [{"serviceAccountToken": token}]}},
        {"name": _ROOTS, "configMap": {"name": pod.ROOTS_CONFIG_MAP}},
        {"name": _SCRATCH, "emptyDir": {"sizeLimit": "64Mi"}},
    ]


def names(containers: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Of containers, in their order."""
    return tuple(str(container.get("name", "")) for container in containers)


def ready() -> Value:
    """What the kubelet asks the proxy."""
    return {"httpGet": {"path": "/healthz/ready", "port": pod.READY, "scheme": "HTTP"}}
