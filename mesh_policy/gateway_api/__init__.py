"""The kinds of ``gateway.networking.k8s.io``: the Gateway API of Kubernetes."""
