"""The layers of an environment, each a component: machines, or processes; what is installed on machines; policies.

Policies go to the control plane as one set (:class:`~stacks.layers.policies.Policies`), or to a cluster as its objects
(:class:`~stacks.layers.custom_resources.CustomResources`); both take the same typed kinds.
"""
