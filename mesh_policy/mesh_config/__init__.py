"""Settings of a whole mesh: Istio's MeshConfig, the ProxyConfig in it, and MeshNetworks, with Istio's defaults.

:func:`read_mesh_config`, :func:`read_proxy_config` and :func:`read_mesh_networks` make them of YAML::

    mesh = read_mesh_config(text, "mesh.yaml")
    mesh.root_namespace, mesh.default_config.concurrency, mesh.providers["zipkin"].kind

A field that is not set has Istio's default (``mesh.DefaultMeshConfig``); ``to_yaml_value`` gives what was set, and
``to_effective_value`` everything. What istiod logs and passes over (a field that nobody knows, a provider without a port) is
refused here.
"""

from importlib import import_module
from typing import TYPE_CHECKING

# ruff: noqa: I001 (it would give each "as" a statement of its own)
if TYPE_CHECKING:
    from mesh_policy.mesh_config.defaults import ROOT_NAMESPACE as ROOT_NAMESPACE, TRUST_DOMAIN as TRUST_DOMAIN
    from mesh_policy.mesh_config.extension_providers import ExtensionProvider as ExtensionProvider
    from mesh_policy.mesh_config.mesh import MeshConfig as MeshConfig
    from mesh_policy.mesh_config.networks import MeshNetworks as MeshNetworks
    from mesh_policy.mesh_config.proxy_config import ProxyConfig as ProxyConfig
    from mesh_policy.mesh_config.reading import (
        read_mesh_config as read_mesh_config,
        read_mesh_networks as read_mesh_networks,
        read_proxy_config as read_proxy_config,
    )

_HOMES = {
    "defaults": ("ROOT_NAMESPACE", "TRUST_DOMAIN"),
    "extension_providers": ("ExtensionProvider",),
    "mesh": ("MeshConfig",),
    "networks": ("MeshNetworks",),
    "proxy_config": ("ProxyConfig",),
    "reading": ("read_mesh_config", "read_mesh_networks", "read_proxy_config"),
}
"""Module to the names that this package shows of it; each is imported when it is first asked for."""
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [*_HOME_OF]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
