"""The control plane's sockets: the stream of configuration (gRPC) and the pages and API (HTTP)."""
