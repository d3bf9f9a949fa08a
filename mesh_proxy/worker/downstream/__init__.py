"""Connections from clients: one module for each protocol, and what an exchange needs of whoever asked (:mod:`.client`)."""
