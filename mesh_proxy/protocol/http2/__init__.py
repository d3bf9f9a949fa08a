"""HTTP/2 without sockets: bytes of a peer in, calls of a handler and bytes to send out (RFC 9113, RFC 7541).

:class:`~mesh_proxy.protocol.http2.session.Session` is the whole of it; the other modules are its parts.
"""
