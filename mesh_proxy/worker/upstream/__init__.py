"""Connections to hosts: one module for each protocol, and what the router and they are to each other (:mod:`.seam`)."""
