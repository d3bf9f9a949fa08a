"""Random AuthorizationPolicies and requests, out of few words, so that conditions hold now and then."""

from dataclasses import replace
from random import Random
from typing import Any

from tests.parity.case_files import CaseFile, parsed
from tests.security.policy_files import ALPN, HTTP_PORT, inbound

PEERS = ("client", "admin", "elsewhere", "alike")
PATHS = ("/", "/a", "/a/", "/a/b", "/b", "/A", "/a/b/c")
METHODS = ("GET", "POST", "PUT")
HOSTS = ("a.example", "A.example", "b.example:80", "test")
ROLES = ("admin", "ops-1", "the-ops", "")
SOURCES = {
    "principals": ("*", "cluster.local/ns/default/sa/client", "*/sa/client", "cluster.local/ns/default/*"),
    "namespaces": ("default", "else*", "*where", "*"),
    "ipBlocks": ("127.0.0.1", "127.0.0.0/8", "10.0.0.0/8"),
    "remoteIpBlocks": ("127.0.0.0/8", "10.0.0.0/8", "::/0"),
    "requestPrincipals": ("*", "testing@example.com/tester"),
}
OPERATIONS = {
    "paths": ("*", "/a", "/a/*", "*/b", "/A", "/{*}", "/a/{**}"),
    "methods": ("GET", "P*", "*T"),
    "hosts": ("a.example", "*.example", "b.*", "*"),
    "ports": (str(HTTP_PORT), "1"),
}
CONDITIONS = {
    "request.headers[x-role]": ("admin", "ops-*", "*-ops", "*"),
    "source.ip": ("127.0.0.0/8", "10.0.0.0/8"),
    "source.namespace": ("default", "d*"),
    "source.principal": ("*/sa/client", "cluster.local/ns/elsewhere/sa/client"),
    "destination.port": ("1", "2"),
    "connection.sni": ("a.example", "*.example", "*"),
    "request.auth.claims[role]": ("admin", "*"),
}


def drawn(seed: int, requests: int) -> CaseFile:
    """A file of policies that are drawn, and of so many requests."""
    random = Random(seed)
    policies = [_policy(random, number) for number in range(random.choice((1, 2, 3, 12)))]
    document = {"about": "Drawn.", "cases": {f"{seed}.{number}": _case(random) for number in range(requests)}}
    made = parsed(document, "security", f"drawn-{seed}")
    return replace(made, config={"whole": inbound(policies, None, HTTP_PORT)})


def _policy(random: Random, number: int) -> dict[str, Any]:
    action = "DENY" if random.random() < 0.3 else "ALLOW"
    rules = [_rule(random) for _ in range(random.choice((1, 1, 2, 3)))]
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": f"p{number}"},
        "spec": {"action": action, "rules": rules},
    }


def _rule(random: Random) -> dict[str, Any]:
    parts = random.sample(("from", "to", "when"), random.choice((1, 2, 2, 3)))
    made: dict[str, Any] = {}
    if "from" in parts:
        made["from"] = [{"source": _fields(random, SOURCES)} for _ in range(random.choice((1, 2)))]
    if "to" in parts:
        made["to"] = [{"operation": _fields(random, OPERATIONS)} for _ in range(random.choice((1, 2)))]
    if "when" in parts:
        made["when"] = [_condition(random) for _ in range(random.choice((1, 2)))]
    return made


def _fields(random: Random, known: dict[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """One or two conditions, some of which ask that something is not so."""
    found: dict[str, list[str]] = {}
    for name in random.sample(sorted(known), random.choice((1, 1, 2))):
        values = random.sample(known[name], random.choice((1, 1, 2)))
        found[name if random.random() < 0.75 else f"not{name[0].upper()}{name[1:]}"] = values
    return found


def _condition(random: Random) -> dict[str, Any]:
    key = random.choice(sorted(CONDITIONS))
    values = random.sample(CONDITIONS[key], random.choice((1, 1, 2)))
    return {"key": key, "values" if random.random() < 0.75 else "notValues": values}


def _case(random: Random) -> dict[str, Any]:
    fields = [("host", random.choice(HOSTS))]
    fields += [("x-role", role) for role in random.sample(ROLES, random.choice((0, 1, 1, 2)))]
    if random.random() < 0.2:
        fields.append(("x-forwarded-for", "10.1.2.3"))
    ask = {"line": f"{random.choice(METHODS)} {random.choice(PATHS)}", "headers": [list(field) for field in fields]}
    peer = random.choice((*PEERS, None))
    if peer is None:
        return {"ask": ask}
    tls: dict[str, Any] = {"protocols": ALPN["http1"], "certificate": peer}
    if random.random() < 0.5:
        tls["name"] = random.choice(("a.example", "other.example", "a"))
    return {"ask": ask, "tls": tls}
