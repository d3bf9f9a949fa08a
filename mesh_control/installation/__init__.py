"""What a cluster needs for the mesh, as objects: definitions, rights, the control plane, gateways, webhooks. Pure.

:class:`~mesh_control.installation.values.Installation` says what may be chosen, and
:func:`~mesh_control.installation.objects.objects` makes everything of it (``mesh manifests``). Roles and stacks apply what
it makes.
"""
