"""Services that a proxy asks or tells by itself (Envoy ``core.v3.HttpService``, ``core.v3.GrpcService``)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpService:
    """Requests to ``uri`` over ``cluster``, each for at most ``timeout`` seconds, with ``headers`` set (pairs)."""

    uri: str
    cluster: str
    timeout: float | None = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class GrpcService:
    """Calls over ``cluster`` with ``authority`` as their host (empty: the cluster's name), each for at most ``timeout``
    seconds, with ``initial_metadata`` (pairs)."""

    cluster: str
    authority: str = ""
    timeout: float | None = None
    initial_metadata: tuple[tuple[str, str], ...] = ()
