"""The data plane: the sidecar beside a workload, a supervisor and its workers."""
