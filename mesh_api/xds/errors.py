"""What can go wrong between the dataclasses and the wire."""


class DecodeError(ValueError):
    """A resource that this mesh cannot honour.

    The text names the resource and the path of the field, because it travels back to the control plane as the NACK.
    """


class EncodeError(ValueError):
    """A configuration that has no form on the wire (two alternatives set at once, a setting of another kind)."""
