"""A language host: the gRPC server by which Pulumi's engine runs programs and plugins that are written in Python.

Pulumi's own host comes with its releases and cannot be built from the published Go modules, so a Pulumi that is built from
source needs this one. It speaks ``pulumirpc.LanguageRuntime`` with the messages of Pulumi's Python package, and lives in the
directory of the ``pulumi`` binary, where the engine takes it for bundled.
"""
