"""The configuration on the wire: Envoy's xDS v3.

- :mod:`~mesh_api.xds.encode`, :mod:`~mesh_api.xds.decode`: dataclasses to and from serialized resources.
- :mod:`~mesh_api.xds.json`: the same resources as protobuf JSON, for bootstrap files and dumps.
- :mod:`~mesh_api.xds.session`: the ADS conversation, both ends, without sockets and without protobuf.
- :mod:`~mesh_api.xds.grpc`: messages of that conversation to and from protobuf.
- :mod:`~mesh_api.xds.newer_fields`: what Envoy has and ``xds-protos`` has not yet.

This package imports no protobuf by itself, so that its parts without it stay cheap.
"""

from mesh_api.xds.newer_fields import install

install()  # before the first message is imported
