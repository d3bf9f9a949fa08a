"""The supervisor: the only process of the sidecar with gRPC and protobuf.

It holds the stream to the control plane, keeps what was accepted, hands complete configurations to the workers, restarts
them, and serves the admin interface, health and statistics.
"""
