"""The layers of an environment, each a component: machines, hosts, mesh, workloads, policies.

:data:`LAYERS` is the order in which they are made; a layer gets what those before it put into the :class:`Built`.
"""
