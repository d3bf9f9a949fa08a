"""Sidecar injection: an API server asks about every new pod, and gets it back with its proxy.

Everything here is pure. :mod:`~mesh_control.injection.decision` says whether a pod gets one,
:mod:`~mesh_control.injection.wishes` what its annotations ask for, :mod:`~mesh_control.injection.pods` makes the pod with
its proxy, of what :mod:`~mesh_control.injection.containers` and :mod:`~mesh_control.injection.probes` give;
:mod:`~mesh_control.injection.review` answers the API server, and :mod:`~mesh_control.injection.files` does the same to
manifests (``mesh inject``).
"""
