"""The proxy in a pod of Kubernetes: what it makes of the pod's variables, and the rules by which connections come to it.

Pure are :mod:`~mesh_proxy.pod.document` (the bootstrap) and :mod:`~mesh_proxy.pod.redirect` (the rules).
"""
