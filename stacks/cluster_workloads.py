"""The workloads of an environment as objects of a cluster. Pure.

Names are those on machines, so that policies are the same objects: Services give ``store.default.svc.cluster.local``,
accounts are named like services, pods have the labels ``app`` and ``version``. Sidecars are the injector's.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from stacks import cluster, plan
from stacks.environment import Environment, Postgresql, Service, Workload
from stacks.images.build import reference
from stacks.images.table import USER, WORKLOADS

Object = dict[str, Any]
NAMESPACE = "default"
"""Of the database."""
INJECTED = {"istio-injection": "enabled"}
OURS = {"app.kubernetes.io/managed-by": "meshwright", "app.kubernetes.io/part-of": "demo"}
"""Labels of every object but namespaces, which may have been there before."""
IMAGE_MARK, PASSWORD_MARK = "meshwright.io/image", "meshwright.io/password-version"
"""Annotations of pods, of which another value makes other pods: the digest of an image whose name stays the same, and the
version of the password, which programs read when they start."""
VERSION_LETTERS = 16
_HEALTH, _ALIVE = "/manage/health", "/manage/alive"
_INSTANCE = "app.kubernetes.io/instance"
_SECRETS = "/run/secrets/meshwright"
_CONFINED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def images(environment: Environment) -> tuple[str, ...]:
    """Names of the images (of ``make images``) that its workloads need."""
    needed = {"demo": bool(environment.workloads), "database": environment.postgresql is not None}
    return tuple(name for name in needed if needed[name])


def manifests(
    environment: Environment, *, digests: Mapping[str, str] | None = None, password_version: str = ""
) -> list[Object]:
    """All objects but the Secret (:func:`secret`), those that others refer to first.

    ``digests`` is name to digest of images, ``password_version`` what :func:`password_version` says; where they are given,
    pods are made anew with another one.
    """
    marks = _Marks(digests or {}, password_version)
    found = [*map(namespace, sorted({NAMESPACE, *(service.namespace for service in environment.services)}))]
    if environment.postgresql is not None:
        found += _database(environment, environment.postgresql, marks)
    for served in environment.services:
        found += service(served)
    return [*found, *(_deployment(environment, workload, marks) for workload in environment.workloads)]


def secret(environment: Environment, password: str) -> Object:
    """The Secret with the database's ``password`` and the ``url`` that workloads log in by. Raises :class:`ValueError`
    where there is no database."""
    return sealed(environment, _encoded(password), _encoded(database_url(environment, quote(password, safe=""))))


def password_version(secrets: Mapping[str, str]) -> str:
    """Another one for another password of the vault's. It tells nothing of it to whoever does not know the join token, which
    nobody guesses."""
    known = f"{secrets['vault_join_token']} {secrets['vault_postgresql_password']}"
    return hashlib.sha256(known.encode()).hexdigest()[:VERSION_LETTERS]


def sealed(environment: Environment, password: str, url: str) -> Object:
    """The same of values in base64, or of what stands for them in Ansible."""
    database = _required(environment)
    return _object("v1", "Secret", database.service, NAMESPACE, type="Opaque", data={"password": password, "url": url})


def database_url(environment: Environment, password: str) -> str:
    """URL of the database with a password that is quoted for it. Raises :class:`ValueError` where there is none."""
    database = _required(environment)
    host = plan.host_names(database.service, NAMESPACE)[0]
    return f"postgresql://{database.user}:{password}@{host}:{database.port}/{database.database}"


def rollouts(environment: Environment) -> list[str]:
    """``NAMESPACE/KIND/NAME`` of everything that is to be ready, the database first."""
    database = environment.postgresql
    found = [] if database is None else [f"{NAMESPACE}/statefulset/{database.service}"]
    return found + [f"{environment.service(w.service).namespace}/deployment/{w.name}" for w in environment.workloads]


class _Marks:
    """What pods are annotated with."""

    def __init__(self, digests: Mapping[str, str], password_version: str) -> None:
        self._digests, self._password_version = digests, password_version

    def of(self, image: str, *, password: bool) -> Object:
        """The ``annotations`` of a pod of an image that reads the password or not; nothing where nothing is known."""
        marks = {IMAGE_MARK: self._digests.get(image, ""), PASSWORD_MARK: self._password_version if password else ""}
        known = {name: value for name, value in marks.items() if value}
        return {"annotations": known} if known else {}


def _required(environment: Environment) -> Postgresql:
    if environment.postgresql is None:
        raise ValueError(f"environment {environment.name} has no database; set postgresql")
    return environment.postgresql


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _object(
    version: str, kind: str, name: str, namespace: str, labels: Mapping[str, str] | None = None, **more: Any
) -> Object:
    metadata = {"name": name, "namespace": namespace, "labels": {**OURS, **(labels or {})}}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def namespace(name: str) -> Object:
    """A namespace whose pods get sidecars."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(INJECTED)}}


def _account(name: str, namespace: str) -> Object:
    return _object("v1", "ServiceAccount", name, namespace, automountServiceAccountToken=False)


def service(given: Service) -> list[Object]:
    """A service, and the account that its workloads run as."""
    return [_account(given.name, given.namespace), _service(given)]


def _service(service: Service) -> Object:
    # Its protocol comes by the name's prefix, as on machines; appProtocol says it whatever the name.
    ports = [
        {
            "name": port.name,
            "port": port.port,
            "targetPort": port.port,
            "protocol": "TCP",
            "appProtocol": port.protocol.lower(),
        }
        for port in service.ports
    ]
    spec = {"selector": service.labels, "ports": ports}
    return _object("v1", "Service", service.name, service.namespace, service.labels, spec=spec)


def _deployment(environment: Environment, workload: Workload, marks: _Marks) -> Object:
    service, labels = environment.service(workload.service), plan.workload_labels(environment, workload)
    chosen = {**labels, _INSTANCE: workload.name}
    password = workload.database and environment.postgresql is not None
    pod = {
        "serviceAccountName": workload.service,
        **_pod([_program(environment, workload)]),
        **({"volumes": _password_volumes(environment, "url")} if password else {}),
    }
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": chosen},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {
            "metadata": {"labels": {**OURS, **chosen}, **marks.of("demo", password=password)},
            "spec": pod,
        },
    }
    return _object("apps/v1", "Deployment", workload.name, service.namespace, labels, spec=spec)


def _program(environment: Environment, workload: Workload) -> Object:
    ports = environment.service(workload.service).ports
    variables = {"BIND": "0.0.0.0", "PORT": str(ports[0].port), **workload.settings}  # noqa: S104 (of a pod)
    if workload.database:
        variables["DATABASE_URL_FILE"] = f"{_SECRETS}/url"
    return {
        "name": "application",
        "image": image(environment, "demo"),
        "imagePullPolicy": "IfNotPresent",
        "args": [workload.program],
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "ports": [{"name": port.name, "containerPort": port.port, "protocol": "TCP"} for port in ports],
        "readinessProbe": _asked(_HEALTH, ports[0].port, 2),
        "livenessProbe": {**_asked(_ALIVE, ports[0].port, 10), "initialDelaySeconds": 10},
        **_confined({"cpu": "20m", "memory": "64Mi"}, {"memory": "256Mi"}),
        **({"volumeMounts": _password_mounts()} if workload.database else {}),
    }


def _asked(path: str, port: int, seconds: int) -> Object:
    return {
        "httpGet": {"path": path, "port": port, "scheme": "HTTP"},
        "periodSeconds": seconds,
        "timeoutSeconds": 5,
        "failureThreshold": 3,
    }


def _database(environment: Environment, database: Postgresql, marks: _Marks) -> Iterator[Object]:
    name, labels = database.service, {"app": database.service}
    port = {"name": "tcp-postgres", "port": database.port, "targetPort": database.port, "protocol": "TCP"}
    yield _account(name, NAMESPACE)
    yield _object("v1", "Service", name, NAMESPACE, labels, spec={"selector": labels, "ports": [port]})
    kept = _kept(database)
    volumes = [
        *_password_volumes(environment, "password"),
        *([] if kept else [{"name": "data", "emptyDir": {"sizeLimit": f"{database.storage_mib}Mi"}}]),
    ]
    # Without a sidecar, as on machines.
    template = {
        "metadata": {
            "labels": {**OURS, **labels, "sidecar.istio.io/inject": "false"},
            **marks.of("database", password=True),
        },
        "spec": {"serviceAccountName": name, **_pod([_server(environment, database)]), "volumes": volumes},
    }
    spec = {
        "replicas": 1,
        "serviceName": name,
        "selector": {"matchLabels": labels},
        "template": template,
        **({"volumeClaimTemplates": [kept]} if kept else {}),
    }
    yield _object("apps/v1", "StatefulSet", name, NAMESPACE, labels, spec=spec)


def _kept(database: Postgresql) -> Object:
    """What asks for a volume; nothing where no class of them is set."""
    if database.storage_class is None:
        return {}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": database.storage_class,
            "resources": {"requests": {"storage": f"{database.storage_mib}Mi"}},
        },
    }


def _server(environment: Environment, database: Postgresql) -> Object:
    words = {"port": database.port, "database": database.database, "role": database.user}
    listens = {"tcpSocket": {"port": database.port}, "timeoutSeconds": 5}
    return {
        "name": "postgresql",
        "image": image(environment, "database"),
        "imagePullPolicy": "IfNotPresent",
        "args": [f"--password-file={_SECRETS}/password", *(f"--{name}={value}" for name, value in words.items())],
        "ports": [{"name": "tcp-postgres", "containerPort": database.port, "protocol": "TCP"}],
        # It listens when the database is there; after a loss of power that takes as long as it takes.
        "startupProbe": {**listens, "periodSeconds": 1, "failureThreshold": 600},
        "readinessProbe": {**listens, "periodSeconds": 2, "failureThreshold": 3},
        "livenessProbe": {**listens, "periodSeconds": 10, "failureThreshold": 3},
        **_confined({"cpu": "50m", "memory": "96Mi"}, {"memory": "384Mi"}),
        "volumeMounts": [*_password_mounts(), {"name": "data", "mountPath": "/var/lib/meshwright"}],
    }


def _pod(containers: list[Object]) -> Object:
    """What every pod of ours is: nobody's user, who needs nothing of the cluster."""
    context = {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": context,
        "containers": containers,
    }


def _confined(requests: Mapping[str, str], limits: Mapping[str, str]) -> Object:
    resources = {"requests": dict(requests), "limits": dict(limits)}
    return {"resources": resources, "securityContext": {**_CONFINED, "capabilities": {"drop": ["ALL"]}}}


def _password_volumes(environment: Environment, key: str) -> list[Object]:
    """The one value of the Secret that a program needs, for its own group alone."""
    name = _required(environment).service
    value = {"secretName": name, "defaultMode": 0o440, "items": [{"key": key, "path": key}]}
    return [{"name": "database", "secret": value}]


def _password_mounts() -> list[Object]:
    return [{"name": "database", "mountPath": _SECRETS, "readOnly": True}]


def image(environment: Environment, name: str) -> str:
    """The whole name of one of :func:`images`, of the repository and with the tag that the mesh's have. Raises
    :class:`ValueError` where there is no cluster."""
    chosen = cluster.settings(environment).mesh
    found = reference(next(plan for plan in WORKLOADS if plan.name == name), chosen.repository)
    return f"{found.rpartition(':')[0]}:{chosen.tag}" if chosen.tag else found
