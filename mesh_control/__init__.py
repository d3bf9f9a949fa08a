"""The control plane: world and policies to configuration, pushed to every proxy.

``world`` is the immutable value that everything is compiled from, ``sources`` fill it, ``compiler`` turns it into the
configuration of one proxy (pure), ``push`` keeps account of who was sent and who has taken what (no sockets),
``control`` puts these together, ``serve`` holds the sockets, ``app`` wires them.
"""
