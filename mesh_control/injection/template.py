"""What an injected proxy is made of, wherever a pod's annotations say nothing else."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

CPU = re.compile(r"\d+(\.\d+)?m?")
MEMORY = re.compile(r"\d+(\.\d+)?([EPTGMK]i?|k|m)?")


def cpu(text: str) -> str:
    """A quantity of processors, such as ``100m`` or ``2``. Raises :class:`ValueError`."""
    if not CPU.fullmatch(text):
        raise ValueError(f"{text!r} is no amount of processors; write 100m or 2, for example")
    return text


def memory(text: str) -> str:
    """A quantity of memory, such as ``128Mi``. Raises :class:`ValueError`."""
    if not MEMORY.fullmatch(text):
        raise ValueError(f"{text!r} is no amount of memory; write 128Mi, for example")
    return text


Cpu = Annotated[str, AfterValidator(cpu)]
Memory = Annotated[str, AfterValidator(memory)]


class Template(BaseModel):
    """The section ``injection`` of the control plane's settings: where it is there, an API server may ask for proxies at the
    webhook's address.

    ``image`` is the proxy's, ``control`` where it finds the control plane (``HOST:PORT``). ``native``: whether the proxy is
    one of Kubernetes' own sidecar containers, which start before the application and do not keep a Job from its end;
    ``auto``: where the cluster has them (from 1.29 on). Requests and limits are Istio's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: Annotated[str, Field(min_length=1)] = "docker.io/meshwright/proxy:latest"
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    control: Annotated[str, Field(pattern=r"^\S+:\d+$")] = "istiod.istio-system.svc:15012"
    control_name: str = "istiod.istio-system.svc"
    native: Literal["auto", "always", "never"] = "auto"
    cluster: str = "Kubernetes"
    network: str = ""
    cpu_request: Cpu = "100m"
    memory_request: Memory = "128Mi"
    cpu_limit: Cpu = "2"
    memory_limit: Memory = "1Gi"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    stop_delay_seconds: Annotated[int, Field(ge=0, le=300)] = 5

    def resources(self, **given: str) -> Mapping[str, Mapping[str, str]]:
        """Of the proxy's container; ``given`` takes the place of fields of these names."""
        chosen = {
            name: given.get(name) or getattr(self, name)
            for name in ("cpu_request", "memory_request", "cpu_limit", "memory_limit")
        }
        return {
            "requests": {"cpu": chosen["cpu_request"], "memory": chosen["memory_request"]},
            "limits": {"cpu": chosen["cpu_limit"], "memory": chosen["memory_limit"]},
        }


NATIVE_SINCE, SLEEP_SINCE = (1, 29), (1, 30)
"""Versions of Kubernetes from which on sidecar containers are there without being asked for, and a hook that waits."""


def native(template: Template, version: tuple[int, int] | None) -> bool:
    """Whether proxies are sidecar containers in a cluster of that version; ``None``: it is not known, and taken for a new
    one."""
    if template.native == "auto":
        return version is None or version >= NATIVE_SINCE
    return template.native == "always"
