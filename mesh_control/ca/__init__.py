"""The certificate authority: who may have which identity, and the certificates that say so.

Pure are :mod:`~mesh_control.ca.certificates`, :mod:`~mesh_control.ca.requests`, :mod:`~mesh_control.ca.rotation`,
:mod:`~mesh_control.ca.tokens` and :mod:`~mesh_control.ca.limits`: they take the time (seconds since 1970) as an argument.
:mod:`~mesh_control.ca.store` remembers, :mod:`~mesh_control.ca.authority` puts these together without sockets, and
:mod:`~mesh_control.ca.service` and :mod:`~mesh_control.ca.front` are the sockets.
"""
