"""Pods of tests."""

from typing import Any


def pod(
    *, annotations: dict[str, str] | None = None, labels: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    """A Pod that a Deployment ``shop`` has made."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "shop-5c-",
            "namespace": "store",
            "labels": {"app": "shop", "version": "v2", "pod-template-hash": "5c", **(labels or {})},
            "annotations": annotations or {},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "shop-5c", "controller": True}],
        },
        "spec": {
            "serviceAccountName": "shop",
            "containers": [
                {"name": "shop", "image": "shop:1", "ports": [{"name": "http", "containerPort": 8080}], "tty": True}
            ],
            **spec,
        },
    }
