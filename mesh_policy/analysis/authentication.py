"""PeerAuthentication and RequestAuthentication: for nobody, several for the same, tokens that nobody asks for."""

from collections.abc import Iterator, Mapping, Sequence

from mesh_policy.analysis.context import Check, Context
from mesh_policy.analysis.destination_rules import host_of, traffic_policies
from mesh_policy.analysis.finding import Finding, Placed, found, rivals
from mesh_policy.analysis.pods import Pod, labels_of, labels_text
from mesh_policy.hosts import gateway_name
from mesh_policy.networking.destination_rule import DestinationRule
from mesh_policy.networking.gateway import Gateway
from mesh_policy.networking.virtual_service import VirtualService
from mesh_policy.objects import Workload
from mesh_policy.positions import Path
from mesh_policy.security.authorization_policy import AuthorizationPolicy, Rule
from mesh_policy.security.peer_authentication import PeerAuthentication
from mesh_policy.security.request_authentication import RequestAuthentication

CLAIMS = "@request.auth.claims"
"""Begins the name of a "header" that is a claim of the token."""


def workloads(context: Context) -> Iterator[Finding]:
    """IST0127: policies for nobody."""
    if context.pods is None or not context.knows_gateways:
        return
    for placed in (*context.of(PeerAuthentication), *context.of(RequestAuthentication)):
        labels = labels_of(placed.value.spec.selector)
        namespace = None if placed.namespace == context.root else placed.namespace
        if labels and not context.pods.any(labels, namespace):
            message = f"no workload of {namespace or 'the mesh'} carries {labels_text(labels)}, so it is for nobody"
            yield found("IST0127", placed, ("spec", "selector", "matchLabels"), message)


def several(context: Context) -> Iterator[Finding]:
    """MESH0022: of several PeerAuthentications for the same workloads the oldest counts."""
    owners: dict[tuple[str, str], list[Placed[PeerAuthentication]]] = {}
    for placed in context.of(PeerAuthentication):
        owners.setdefault((placed.namespace, labels_text(labels_of(placed.value.spec.selector))), []).append(placed)
    for _, placed, others in rivals(owners):
        message = f"PeerAuthentication {others} is for the same workloads; only the oldest counts: merge them"
        yield found("MESH0022", placed, ("spec", "selector"), message)


def claims_without_tokens(context: Context) -> Iterator[Finding]:
    """IST0149: routes by claims, at gateways that read no token."""
    if context.pods is None:
        return
    selectors: dict[str, list[Mapping[str, str]]] = {}
    for placed in context.of(RequestAuthentication):
        selectors.setdefault(placed.namespace, []).append(labels_of(placed.value.spec.selector))
    gateways = {placed.full_name: placed.value for placed in context.of(Gateway)}
    for service in context.of(VirtualService):
        claim = next(_claims(service.value), None)
        for index, name in enumerate(service.value.spec.gateways or () if claim is not None else ()):
            gateway = gateways.get(gateway_name(name, service.namespace))
            for pod in context.pods.select(gateway.spec.selector) if gateway is not None else ():
                known = [*selectors.get(context.root, ()), *selectors.get(pod.namespace, ())]
                if not any(labels.items() <= pod.labels.items() for labels in known):
                    message = (
                        f"{claim} needs a token, and no RequestAuthentication reads one at gateway {name} "
                        f"(workload {pod.namespace}/{pod.name}); add one there"
                    )
                    yield found("IST0149", service, ("spec", "gateways", index), message)
                    break


def _claims(service: VirtualService) -> Iterator[str]:
    """The claims that its routes look at."""
    for route in service.spec.http or ():
        for match in route.match or ():
            for name in (*(match.headers or {}), *(match.without_headers or {})):
                if name.lower().startswith(CLAIMS) and len(name) > len(CLAIMS) + 1 and name[len(CLAIMS)] in ".[":
                    yield name


def optional_tokens(context: Context) -> Iterator[Finding]:
    """MESH0014: a wrong token is refused, and none at all is not."""
    asking = [placed for placed in context.of(AuthorizationPolicy) if _asks_for_token(placed.value)]
    for placed in context.of(RequestAuthentication):
        if not placed.value.spec.jwt_rules or any(_meets(context, placed, policy) for policy in asking):
            continue
        message = (
            "requests without a token pass: it refuses wrong ones only; add an AuthorizationPolicy for the same workloads "
            'with requestPrincipals: ["*"] (ALLOW), or notRequestPrincipals: ["*"] (DENY)'
        )
        yield found("MESH0014", placed, ("spec", "jwtRules"), message)


def _asks_for_token(policy: AuthorizationPolicy) -> bool:
    rules: Sequence[Rule] = policy.spec.rules or ()
    sources = [item.source for rule in rules for item in rule.from_ or ()]
    if policy.spec.action == "DENY":
        return any(source.not_request_principals for source in sources)
    conditions = any(condition.key.startswith("request.auth.") for rule in rules for condition in rule.when or ())
    return conditions or any(source.request_principals for source in sources)


def _meets(context: Context, placed: Placed[RequestAuthentication], policy: Placed[AuthorizationPolicy]) -> bool:
    """Whether some workload may be under both."""
    if context.root not in (placed.namespace, policy.namespace) and placed.namespace != policy.namespace:
        return False
    one, other = labels_of(placed.value.spec.selector), labels_of(policy.value.spec.selector)
    return all(one[key] == other[key] for key in one.keys() & other.keys())


def plaintext(context: Context) -> Iterator[Finding]:
    """MESH0015: a client that is told to speak plain to workloads that insist on mutual TLS."""
    modes = _Modes(context)
    for placed in context.of(DestinationRule):
        host = host_of(context, placed)
        members = context.members(host) if host is not None else None
        if not members:
            continue
        for path, policy, subset in traffic_policies(placed):
            labels = subset.labels or {} if subset is not None else {}
            chosen = [member for member in members if labels.items() <= member.labels.items()]
            if policy.tls is not None and policy.tls.mode == "DISABLE" and chosen:
                owners = [modes.strict(member) for member in chosen]
                if all(owners):
                    names = ", ".join(dict.fromkeys(owner.subject for owner in owners if owner is not None))
                    message = f"its workloads take mutual TLS only ({names}), so every request fails; use ISTIO_MUTUAL"
                    yield found("MESH0015", placed, (*path, "tls", "mode"), message)


class _Modes:
    """Which PeerAuthentication decides on a workload: its own, its namespace's, the mesh's."""

    def __init__(self, context: Context) -> None:
        self._root = context.root
        self._by_namespace: dict[str, list[Placed[PeerAuthentication]]] = {}
        for placed in context.of(PeerAuthentication):
            self._by_namespace.setdefault(placed.namespace, []).append(placed)

    def mode(self, pod: Pod) -> tuple[str, Placed[PeerAuthentication] | None]:
        """The mode of a workload, PERMISSIVE where nothing is said, and what says it."""
        own = self._by_namespace.get(pod.namespace, ())
        levels = (
            [p for p in own if labels_of(p.value.spec.selector)],
            [p for p in own if not labels_of(p.value.spec.selector)],
            [p for p in self._by_namespace.get(self._root, ()) if not labels_of(p.value.spec.selector)],
        )
        for level in levels:
            for placed in level:
                spec = placed.value.spec
                mode = spec.mtls.mode if spec.mtls is not None else None
                if mode not in (None, "UNSET") and labels_of(spec.selector).items() <= pod.labels.items():
                    return str(mode), placed
        return "PERMISSIVE", None

    def strict(self, pod: Pod) -> Placed[PeerAuthentication] | None:
        """The policy by which a workload takes mutual TLS on every port."""
        mode, placed = self.mode(pod)
        if mode != "STRICT" or placed is None or placed.value.spec.port_level_mtls:
            return None
        return placed


def identities(context: Context) -> Iterator[Finding]:
    """MESH0016: conditions on identities where no client has one."""
    if context.pods is None:
        return
    modes = _Modes(context)
    for placed in context.of(AuthorizationPolicy):
        labels = labels_of(placed.value.spec.selector)
        namespace = None if placed.namespace == context.root else placed.namespace
        pods = list(context.pods.select(labels, namespace))
        if not pods or any(modes.mode(pod)[0] != "DISABLE" for pod in pods):
            continue
        for number, rule in enumerate(placed.value.spec.rules or ()):
            for index, item in enumerate(rule.from_ or ()):
                source = item.source
                for field, value in (
                    ("principals", source.principals),
                    ("namespaces", source.namespaces),
                    ("serviceAccounts", source.service_accounts),
                ):
                    if value:
                        path: Path = ("spec", "rules", number, "from", index, "source", field)
                        message = "mutual TLS is disabled for these workloads, so no request has an identity; enable it"
                        yield found("MESH0016", placed, path, message)


def unrestricted_keys(context: Context) -> Iterator[Finding]:
    """IST0175: an istiod that fetches keys from anywhere."""
    names = sorted(placed.full_name for placed in context.of(RequestAuthentication))
    if not names:
        return
    for placed in context.of(Workload):
        if placed.value.kind != "Deployment" or placed.labels.get("app") != "istiod":
            continue
        if not any(c.environment.get("BLOCKED_CIDRS_IN_JWKS_URIS") for c in placed.value.pod.containers):
            message = (
                f"fetches keys from wherever {len(names)} RequestAuthentication(s) say ({', '.join(names[:5])}); "
                "set BLOCKED_CIDRS_IN_JWKS_URIS to the networks that it must not ask"
            )
            yield found("IST0175", placed, ("spec", "template", "spec", "containers"), message)


CHECKS: Sequence[Check] = (
    workloads,
    several,
    claims_without_tokens,
    optional_tokens,
    plaintext,
    identities,
    unrestricted_keys,
)
