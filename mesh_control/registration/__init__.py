"""Workloads on machines that register themselves: a proxy that names a WorkloadGroup gets a WorkloadEntry, as with istiod
(``pilot/pkg/autoregistration``).

Pure are :mod:`~mesh_control.registration.claims` (what a proxy asks for, and the entry made of it) and
:mod:`~mesh_control.registration.lifecycle` (connected, gone, forgotten), which take the time in seconds since 1970;
:mod:`~mesh_control.registration.proof` says who may register what, :mod:`~mesh_control.registration.store` remembers.
:mod:`mesh_control.sources.registrations` puts them together as a source of the world.
"""
