"""What is found about policies: each other, and what is known of the mesh.

:mod:`~mesh_policy.analysis.checks` is the whole analysis of files (``mesh analyze``), :mod:`~mesh_policy.analysis.check`
what the control plane asks of a set, :mod:`~mesh_policy.analysis.codes` the table of what can be found.
"""
