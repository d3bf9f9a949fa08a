"""Kubernetes as a source of the world.

Conversion is pure: ``services``, ``pods`` and ``endpoints`` convert one object each, ``registry`` a whole cluster, as
istiod's registry does; ``manifests`` does it for objects that stand in files and of which no cluster has made anything yet,
``surroundings`` for what the Gateway API asks of a cluster.

The live source is ``source``: of each collection (``resources``, ``secrets``) a ``mirror``, around the pure ``reflector``,
over ``api`` and ``access``; ``last_good`` keeps what broken policies said before. What became of objects is written back by
``reporting``, around ``status`` and, for the Gateway API, ``gateway_objects``, in the replica that leads (``leader``, around
``election``). ``rbac`` has the rights that it takes, ``wiring`` the way from the settings.
"""
