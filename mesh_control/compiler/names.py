"""Names of resources, as Istio makes them."""


def outbound(port: int, subset: str, hostname: str) -> str:
    """Cluster of a service's port, or of one subset of it."""
    return f"outbound|{port}|{subset}|{hostname}"


def inbound(port: int) -> str:
    """Cluster of the application's own port."""
    return f"inbound|{port}||"


def operation(hostname: str, port: int) -> str:
    """Decorator of routes, for traces."""
    return f"{hostname}:{port}/*"
