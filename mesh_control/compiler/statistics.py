"""Names in statistics, where the mesh says how these are made (``outboundClusterStatName``, ``inboundClusterStatName``)."""

from mesh_control.services import Service, ServicePort


def named(pattern: str, service: Service, port: ServicePort, *, subset: str = "", target: int | None = None) -> str:
    """A pattern with what it asks of a service filled in.

    ``target`` is the application's own port; ``None`` leaves the pattern's word for it as it is (Istio).
    """
    kubernetes = service.of_kubernetes
    values = {
        "%SERVICE%": f"{service.name}.{service.namespace}" if kubernetes else service.hostname,
        "%SERVICE_NAME%": service.name if kubernetes else service.hostname,
        "%SERVICE_FQDN%": service.hostname,
        "%SUBSET_NAME%": subset,
        "%TARGET_PORT%": "%TARGET_PORT%" if target is None else str(target),
        "%SERVICE_PORT%": str(port.number),
        "%SERVICE_PORT_NAME%": _called(port),
    }
    for word, value in values.items():
        pattern = pattern.replace(word, value)
    return pattern


def _called(port: ServicePort) -> str:
    """A port of Kubernetes without a name goes by its number here, which no name there can be."""
    return "" if port.target_name is not None and port.name == str(port.number) else port.name
