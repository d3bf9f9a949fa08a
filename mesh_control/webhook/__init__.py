"""The validating webhook: a Kubernetes API server asks it about every policy before it keeps it.

Pure are :mod:`~mesh_control.webhook.review` (a question and its answer) and :mod:`~mesh_control.webhook.manifest` (the object
that makes an API server ask). :mod:`~mesh_control.webhook.certificate` has the certificate under which is served,
:mod:`~mesh_control.webhook.bundle` keeps its roots known to the API server, and :mod:`~mesh_control.webhook.server` has the
socket.
"""
