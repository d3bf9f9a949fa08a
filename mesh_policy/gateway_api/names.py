"""Names, hosts, headers, paths and numbers as the Gateway API writes them."""

from typing import Annotated

from pydantic import Field

from mesh_policy.base import Whole
from mesh_policy.gateway_api.constraints import Text

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
DOMAIN_PATH = rf"{SUBDOMAIN}\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+"
PATH = r"^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$"

Group = Annotated[
    str,
    Text(
        'an API group; write for example gateway.networking.k8s.io, or "" for the core', rf"^$|^{SUBDOMAIN}$", least=0
    ),
]
"""An API group; empty for the core group."""
Kind = Annotated[
    str, Text("a kind; letters, digits and dashes, such as Service", "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$", most=63)
]
"""A kind, such as ``Service``."""
ObjectName = Annotated[str, Text("a name")]
"""Name of another object, 1 to 253 characters."""
NamespaceName = Annotated[str, Text("a namespace; lower case letters, digits and dashes", f"^{_LABEL}$", most=63)]
"""A namespace; where it may be left out, that of the object itself holds."""
SectionName = Annotated[str, Text("a name; lower case letters, digits, dashes and dots", f"^{SUBDOMAIN}$")]
"""Name of a listener, a rule, or another section."""
Hostname = Annotated[
    str, Text("a host name, in lower case, perhaps after *. and never an address", rf"^(\*\.)?{SUBDOMAIN}$")
]
"""A host name; ``*.`` before it stands for one or more further labels."""
PreciseHostname = Annotated[str, Text("a host name, in lower case and without wildcard", f"^{SUBDOMAIN}$")]
"""A host name without wildcard."""
HeaderName = Annotated[
    str, Text("the name of a header (RFC 9110, 5.6.2)", r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$", most=256)
]
"""Name of a header or query parameter; that of a header has no case."""
HeaderValue = Annotated[
    str,
    Text("the value of a header: printable ASCII, single blanks between words", r"^[!-~]+([\t ][!-~]+)*$", most=4096),
]
"""Value of a header."""
Weight = Annotated[Whole, Field(ge=0, le=1_000_000)]
"""A share of the sum of all weights beside it."""
Int64 = Annotated[Whole, Field(ge=-(2**63), le=2**63 - 1)]
"""A whole number without other bounds than those of JSON in Kubernetes."""
Positive = Annotated[Whole, Field(ge=1, le=2**31 - 1)]
"""A whole number from 1."""
