"""Sources of the world: where services, workloads and policies come from.

``inventory`` reads the static inventory, ``directory`` the policies people wrote, ``entries`` turns the ServiceEntries and
WorkloadEntries among them into services and workloads. To add a source: a module here that produces one of the parts,
and its line in :mod:`mesh_control.state`.
"""
