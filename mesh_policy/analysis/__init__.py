"""What is found about policies: each other, and what is known of the mesh."""

from mesh_policy.analysis.check import Finding, KnownService, KnownWorkload, Level, check, subject

__all__ = ["Finding", "KnownService", "KnownWorkload", "Level", "check", "subject"]
