"""Releases at work: the control plane moves their state machines, by what is measured, and remembers where they are."""
