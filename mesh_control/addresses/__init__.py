"""Addresses for hosts of ServiceEntries that have none: by them a sidecar tells bytes for one host from those for another.

They are used by proxies whose application's questions for names come to the agent beside them (``DNS_CAPTURE``), as with
istiod.
"""
