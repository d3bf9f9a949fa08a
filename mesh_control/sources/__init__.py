"""Sources of the world: where services, workloads and policies come from.

``source`` says what a source is and ``table`` lists them: ``directory`` has the policies people wrote, ``inventory`` is the
static inventory. ``entries`` turns the ServiceEntries and WorkloadEntries of all of them into services and workloads, and
``watching`` tells of changes of files.
"""
