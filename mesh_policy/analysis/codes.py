"""The one table of codes: what each finding is called, how bad it is, and what it means.

``IST`` codes are Istio's own, with its names and levels; ``MESH`` codes are ours. What Istio has and nothing here finds
stands in :data:`LEFT_OUT` with the reason.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

DOCUMENTATION = "https://istio.io/latest/docs/reference/config/analysis/"


class Level(IntEnum):
    """How bad a finding is; an error is refused by the control plane."""

    INFO = 0
    WARNING = 1
    ERROR = 2


class Code(NamedTuple):
    """A kind of finding."""

    code: str
    name: str
    level: Level
    meaning: str

    @property
    def documentation(self) -> str:
        """Where Istio tells more; empty for codes of ours."""
        return f"{DOCUMENTATION}{self.code.lower()}/" if self.code.startswith("IST") else ""


_I, _W, _E = Level.INFO, Level.WARNING, Level.ERROR

_TABLE = (
    Code("IST0002", "Deprecated", _W, "What the object uses is deprecated, and may be gone in the next release."),
    Code(
        "IST0101",
        "ReferencedResourceNotFound",
        _E,
        "The object names a host, port, subset, gateway, secret, namespace or workload that does not exist.",
    ),
    Code(
        "IST0102",
        "NamespaceNotInjected",
        _I,
        "The namespace is not labelled for injection, and not labelled as one that needs none.",
    ),
    Code(
        "IST0103",
        "PodMissingProxy",
        _W,
        "The pod's namespace is injected, and the pod has no proxy: it was made before, or injection failed.",
    ),
    Code(
        "IST0106",
        "SchemaValidationError",
        _E,
        "The object is not valid by itself: a field is unknown, missing, of a wrong type, or contradicts another.",
    ),
    Code(
        "IST0107",
        "MisplacedAnnotation",
        _W,
        "An annotation of Istio's stands on a kind of object for which it means nothing.",
    ),
    Code("IST0108", "UnknownAnnotation", _W, "An annotation in Istio's name is none that Istio knows."),
    Code(
        "IST0109",
        "ConflictingMeshGatewayVirtualServiceHosts",
        _E,
        "Several VirtualServices rule the same host inside the mesh; only one of them counts.",
    ),
    Code("IST0110", "ConflictingSidecarWorkloadSelectors", _E, "Several Sidecars select the same workload."),
    Code(
        "IST0111",
        "MultipleSidecarsWithoutWorkloadSelectors",
        _E,
        "Several Sidecars of a namespace have no workload selector.",
    ),
    Code(
        "IST0112",
        "VirtualServiceDestinationPortSelectorRequired",
        _E,
        "A route goes to a service of several ports and does not say which.",
    ),
    Code(
        "IST0116",
        "DeploymentAssociatedToMultipleServices",
        _W,
        "Several services select the workload with the same port and different transports.",
    ),
    Code(
        "IST0118",
        "PortNameIsNotUnderNamingConvention",
        _I,
        "Neither the port's name nor its appProtocol says the protocol; the proxy has to find it out.",
    ),
    Code("IST0123", "NamespaceMultipleInjectionLabels", _W, "The namespace has more than one kind of injection label."),
    Code("IST0125", "InvalidAnnotation", _W, "The value of an annotation of Istio's is not valid."),
    Code("IST0127", "NoMatchingWorkloadsFound", _W, "No workload has the labels that the policy selects by."),
    Code(
        "IST0128",
        "NoServerCertificateVerificationDestinationLevel",
        _W,
        "A DestinationRule uses TLS without caCertificates: the server's certificate is not verified.",
    ),
    Code("IST0129", "NoServerCertificateVerificationPortLevel", _W, "As IST0128, for one port."),
    Code(
        "IST0130",
        "VirtualServiceUnreachableRule",
        _W,
        "A rule is never used: rules before it take everything that it matches.",
    ),
    Code(
        "IST0131", "VirtualServiceIneffectiveMatch", _I, "A match repeats, or lies within, a match of a rule before it."
    ),
    Code(
        "IST0132",
        "VirtualServiceHostNotFoundInGateway",
        _W,
        "None of the VirtualService's hosts is served by a gateway that it names.",
    ),
    Code(
        "IST0133",
        "SchemaWarning",
        _W,
        "The object is valid, and something in it is deprecated, ignored or probably not meant.",
    ),
    Code(
        "IST0134",
        "ServiceEntryAddressesRequired",
        _W,
        "A ServiceEntry's port carries bytes, and without addresses it cannot be told from other hosts.",
    ),
    Code("IST0135", "DeprecatedAnnotation", _I, "The object has a deprecated annotation."),
    Code(
        "IST0137",
        "DeploymentConflictingPorts",
        _W,
        "Several services lead to the same port of a workload from different ports.",
    ),
    Code(
        "IST0138",
        "GatewayDuplicateCertificate",
        _W,
        "Several gateways have the same certificate: browsers reuse connections, and get 404.",
    ),
    Code(
        "IST0140",
        "IngressRouteRulesNotAffected",
        _W,
        "Rules for a host's subsets have no effect on requests that come by a gateway's own rule.",
    ),
    Code(
        "IST0144",
        "InvalidApplicationUID",
        _W,
        "An application runs as user 1337, which is the proxy's: its traffic is not intercepted.",
    ),
    Code(
        "IST0145",
        "ConflictingGateways",
        _E,
        "Several gateways serve the same hosts at the same port of the same workloads.",
    ),
    Code(
        "IST0146",
        "ImageAutoWithoutInjectionWarning",
        _W,
        "A Deployment waits for injection (`image: auto`) and is not injected.",
    ),
    Code("IST0147", "ImageAutoWithoutInjectionError", _E, "A Pod still has `image: auto`: it was not injected."),
    Code(
        "IST0148",
        "NamespaceInjectionEnabledByDefault",
        _I,
        "The namespace is injected because injection is the default.",
    ),
    Code(
        "IST0149",
        "JwtClaimBasedRoutingWithoutRequestAuthN",
        _E,
        "Routes look at a token's claims, and no RequestAuthentication reads tokens at the gateway.",
    ),
    Code(
        "IST0150",
        "ExternalNameServiceTypeInvalidPortName",
        _W,
        "A port of an ExternalName service is named as TCP or by no protocol: it may take the traffic of others.",
    ),
    Code(
        "IST0157", "InvalidTelemetryProvider", _W, "Access logging without a provider, here or by default, is ignored."
    ),
    Code("IST0159", "ConflictingTelemetryWorkloadSelectors", _E, "Several Telemetries select the same workload."),
    Code(
        "IST0160",
        "MultipleTelemetriesWithoutWorkloadSelectors",
        _E,
        "Several Telemetries of a namespace have no selector.",
    ),
    Code(
        "IST0161",
        "InvalidGatewayCredential",
        _E,
        "The secret with a gateway's certificate has no certificate and key, or one that is broken or expired.",
    ),
    Code(
        "IST0162",
        "GatewayPortNotDefinedOnService",
        _W,
        "A gateway listens on a port that no service of its workloads exposes.",
    ),
    Code(
        "IST0165",
        "ReferencedInternalGateway",
        _W,
        "A VirtualService names a gateway that Istio made itself of one of the Gateway API.",
    ),
    Code(
        "IST0166",
        "IneffectiveSelector",
        _W,
        "A selector picks the pods of a Gateway of the Gateway API, where it has no effect; use targetRefs.",
    ),
    Code("IST0167", "IneffectivePolicy", _W, "The policy has no effect where it stands."),
    Code("IST0171", "NegativeConditionStatus", _W, "The object's status says that it was not taken."),
    Code("IST0173", "DestinationRuleSubsetNotSelectPods", _E, "A subset selects no workload: its requests end in 503."),
    Code(
        "IST0174",
        "UnknownDestinationRuleHost",
        _W,
        "No service has the DestinationRule's host: nothing is ruled by it.",
    ),
    Code(
        "IST0175",
        "JwksUriFetchUnrestricted",
        _W,
        "istiod fetches keys from wherever a RequestAuthentication says: BLOCKED_CIDRS_IN_JWKS_URIS is not set.",
    ),
    Code(
        "IST0177",
        "ConflictingServiceEntryProtocol",
        _W,
        "Several ServiceEntries give the same host and port different protocols.",
    ),
    Code(
        "MESH0001",
        "OutlierDetectionNeverEjects",
        _W,
        "Outlier detection can never eject: its share of the hosts is less than one.",
    ),
    Code("MESH0002", "WeightsNotOfHundred", _W, "The weights of a route do not sum to 100, and are easily misread."),
    Code("MESH0003", "ObjectStandsTwice", _E, "At the control plane: an object stands twice in one set."),
    Code(
        "MESH0004",
        "VersionWithoutWorkload",
        _W,
        "At the control plane, what IST0173 is in files: a subset has no workload yet.",
    ),
    Code("MESH0005", "ObjectOfOtherOwner", _E, "At the control plane: another owner has declared the object."),
    Code(
        "MESH0006", "NotHonouredHere", _E, "At the control plane: the field is valid, and this mesh does not honour it."
    ),
    Code("MESH0007", "HostDeclaredTwice", _E, "At the control plane: the host has a service already."),
    Code(
        "MESH0008",
        "NameWhereAddressIsNeeded",
        _E,
        "At the control plane: a workload is given by name where its service takes addresses.",
    ),
    Code(
        "MESH0009", "RuleForUnknownHost", _W, "At the control plane, what IST0174 is in files: no service has the host."
    ),
    Code("MESH0010", "ObjectOverwritten", _I, "An object stands several times in the files; the last one counts."),
    Code(
        "MESH0011",
        "ShadowedMatch",
        _W,
        "A match can never hold: a wider one of a rule before it takes everything first.",
    ),
    Code(
        "MESH0012",
        "DeniesEveryRequest",
        _W,
        "An AuthorizationPolicy refuses every request, and neither its name nor anything else says that it is meant.",
    ),
    Code(
        "MESH0013",
        "HttpConditionOnTcpPort",
        _W,
        "A rule looks at HTTP where the workload's port carries bytes: it never allows there, and always denies.",
    ),
    Code(
        "MESH0014",
        "TokenOptional",
        _W,
        "A RequestAuthentication refuses wrong tokens only: no AuthorizationPolicy refuses requests without one.",
    ),
    Code(
        "MESH0015",
        "PlaintextToStrictWorkload",
        _W,
        "A DestinationRule switches mutual TLS off for a host whose workloads insist on it.",
    ),
    Code(
        "MESH0016",
        "IdentityWithoutMutualTls",
        _W,
        "A rule asks for an identity where mutual TLS is disabled: no request can have one.",
    ),
    Code(
        "MESH0017", "RetriesCannotFit", _W, "A retry cannot happen: one try may take as long as all of them together."
    ),
    Code("MESH0018", "MirrorToItself", _W, "Requests are mirrored to where they go anyway: each is served twice."),
    Code("MESH0019", "HttpRulesOnTcpPort", _W, "HTTP rules for a host whose ports carry bytes have no effect."),
    Code(
        "MESH0020",
        "SidecarHidesHost",
        _W,
        "A Sidecar does not let its workloads see a host that a VirtualService of the namespace sends them to.",
    ),
    Code(
        "MESH0021",
        "RouteToVersionWithoutWorkload",
        _W,
        "A route sends a share of the requests to a version that no workload has: they end in 503.",
    ),
    Code(
        "MESH0022",
        "SeveralPoliciesForTheSame",
        _W,
        "Several policies of a kind are for the same workloads; only the oldest counts.",
    ),
    Code(
        "MESH0023",
        "GatewayApiReferenceNotFound",
        _W,
        "An object of the Gateway API names a gateway, listener or backend that does not exist.",
    ),
    Code("MESH0024", "DestinationWithoutWeight", _W, "One of several destinations has no weight: it gets nothing."),
    Code(
        "MESH0025",
        "ReferenceNotGranted",
        _W,
        "A reference into another namespace is not allowed by a ReferenceGrant there.",
    ),
    Code("MESH0026", "WithoutEffectOnPort", _W, "Settings for a port that the service does not have."),
)

CODES: Mapping[str, Code] = {code.code: code for code in _TABLE}
"""Every code that can be found, in order."""

_MULTI_CLUSTER = "one mesh here is one cluster"
_WEBHOOK = "about the webhooks of an installation of istiod, which we are not"
_UPGRADE = "about upgrading an installation of istiod"
_FILTER = "EnvoyFilter is refused as a whole, by an error that names our typed alternative"

LEFT_OUT: Mapping[str, str] = {
    "IST0001": "an error inside of istioctl; ours ends the command",
    "IST0126": _MULTI_CLUSTER,
    "IST0136": "Istio's own command no longer looks for alpha annotations: almost all of them are",
    "IST0139": _WEBHOOK,
    "IST0141": "about the permissions of whoever installs istiod",
    "IST0142": "about the version of a cluster, which files do not say",
    "IST0143": "needs the open sockets of running pods; Istio's own command no longer looks either",
    "IST0151": _FILTER,
    "IST0152": _FILTER,
    "IST0153": _FILTER,
    "IST0154": _FILTER,
    "IST0155": _FILTER,
    "IST0156": "about the installed version of the Gateway API; Istio's own command no longer looks",
    "IST0158": _UPGRADE,
    "IST0163": _WEBHOOK,
    "IST0164": _WEBHOOK,
    "IST0168": _UPGRADE,
    "IST0169": _UPGRADE,
    "IST0170": _MULTI_CLUSTER,
    "IST0172": "about the installed version of the Gateway API; Istio's own command no longer looks",
    "IST0176": "about the installed version of the Gateway API",
}
"""Codes of Istio's that are never found here, each with the reason."""
