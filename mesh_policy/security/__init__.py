"""The kinds of ``security.istio.io``: who may speak to whom."""
