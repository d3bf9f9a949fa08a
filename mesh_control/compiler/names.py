"""Names of resources, as Istio makes them."""

from mesh_policy import Metadata


def outbound(port: int, subset: str, hostname: str) -> str:
    """Cluster of a service's port, or of one subset of it."""
    return f"outbound|{port}|{subset}|{hostname}"


def authority(hostname: str, port: int) -> str:
    """Host and port, as virtual hosts are named."""
    return f"[{hostname}]:{port}" if ":" in hostname else f"{hostname}:{port}"


def sni(port: int, subset: str, hostname: str) -> str:
    """The server name that a sidecar asks for: a gateway that passes TLS on knows the cluster by it."""
    return f"outbound_.{port}_.{subset}_.{hostname}"


def inbound(port: int) -> str:
    """Cluster of the application's own port."""
    return f"inbound|{port}||"


def operation(hostname: str, port: int, path: str = "/*") -> str:
    """Decorator of routes, for traces."""
    return f"{hostname}:{port}{path}"


def statistics(name: str) -> str:
    """The name in statistics: the semicolon ends it where Istio's extraction of labels reads on."""
    return f"{name};"


def config_path(kind: str, metadata: Metadata) -> str:
    """Where the object that decided stands, as in the Kubernetes API; ``kind`` as in ``virtual-service``."""
    return f"/apis/networking.istio.io/v1/namespaces/{metadata.namespace}/{kind}/{metadata.name}"
