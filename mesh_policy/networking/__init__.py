"""The kinds of ``networking.istio.io``: one module for each, besides the parts that several share."""
