"""The contract between the control plane and the proxies.

Three parts: :mod:`mesh_api.config` is the typed configuration that a compiler produces and a proxy runs,
:mod:`mesh_api.xds` is its form on the wire (Envoy's xDS v3) and the session that carries it. Neither plane imports the
other; both import this package. It must stay importable in the slim sidecar: no pydantic, no pulumi, no ansible.
"""
