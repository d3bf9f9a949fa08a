"""What a decision of AuthorizationPolicies costs where there is one of them, and where there are a thousand.

Run as a program by :mod:`meshwright_tools.bench.policy`. The policies are compiled by the control plane for the inbound side
of one workload, and decided about by the proxy's own filter, which is told of each request what it is in the proxy. Of many
policies the one that holds is among the later ones; half of the requests are of somebody for whom none holds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from mesh_api.config import HttpConnectionManager
from mesh_api.config.authorization import JWT_AUTHN, JWT_PAYLOAD, RbacFilter
from mesh_api.node import Node
from mesh_control.compiler import compile_proxy
from mesh_control.proxies import proxy_of
from mesh_policy import AuthorizationPolicy
from mesh_proxy.authorization import Access
from mesh_proxy.filters.rbac import RbacGate
from mesh_proxy.protocol.http1 import Parser
from mesh_proxy.telemetry.stats import Counters
from mesh_simulation import Mesh

MANY = 1000
CHOSEN = 707
ROUNDS = 5
NODE = Node("sidecar~10.0.0.1~app.default~default.svc.cluster.local", metadata={"LABELS": {"app": "app"}})
WORKLOAD = """
apiVersion: v1
kind: Service
metadata: {name: app, namespace: default}
spec: {selector: {app: app}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: app, namespace: default, labels: {app: app}}
spec: {serviceAccountName: app, containers: [{name: app, image: app}]}
status: {podIP: 10.0.0.1}
"""


def _who(field: str, value: str) -> dict[str, Any]:
    return {"from": [{"source": {field: [value]}}], "to": [{"operation": {"methods": ["GET"]}}]}


def _what(field: str, value: str) -> dict[str, Any]:
    return {"to": [{"operation": {field: [value]}}]}


def _when(key: str, value: str) -> dict[str, Any]:
    return {"when": [{"key": key, "values": [value]}]}


SORTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "exact path": lambda n: _what("paths", f"/{n}/a"),
    "beginning of the path": lambda n: _what("paths", f"/{n}/*"),
    "host": lambda n: _what("hosts", f"h{n}.example"),
    "principal": lambda n: _who("principals", f"cluster.local/ns/n{n:04}/sa/s{n:04}"),
    "namespace": lambda n: _who("namespaces", f"n{n:04}"),
    "address": lambda n: _who("ipBlocks", f"10.{n // 250}.{n % 250}.0/24"),
    "field": lambda n: _when("request.headers[x-a]", f"v{n:04}"),
    "claim": lambda n: _when("request.auth.claims[role]", f"r{n:04}"),
    "end of the path": lambda n: _what("paths", f"*/{n}/a"),
    "beginning of the host": lambda n: _what("hosts", f"h{n}.*"),
    "end of the host": lambda n: _what("hosts", f"*h{n}.example"),
    "beginning of the principal": lambda n: _who("principals", f"cluster.local/ns/n{n:04}/*"),
    "end of the principal": lambda n: _who("principals", f"*/s{n:04}"),
    "beginning of the namespace": lambda n: _who("namespaces", f"n{n:04}*"),
    "end of the namespace": lambda n: _who("namespaces", f"*n{n:04}"),
    "beginning of a field": lambda n: _when("request.headers[x-a]", f"v{n:04}*"),
    "end of a claim": lambda n: _when("request.auth.claims[role]", f"*r{n:04}"),
    "no such path": lambda n: {
        # Of these nothing can be looked up. All but one hold for neither of those who ask.
        "to": [{"operation": {"notPaths": [f"/{MANY}/*"] if n == CHOSEN else [f"/{MANY}/*", f"/{CHOSEN}/*"]}}]
    },
}
"""The one rule of the policy of a number."""


def gate(sort: str, numbers: Sequence[int]) -> RbacGate:
    """The filter with these policies of a sort."""
    policies = [AuthorizationPolicy.of(f"p{n}", {"rules": [SORTS[sort](n)]}) for n in numbers]
    world = Mesh.read([("workload", WORKLOAD)]).world.with_policies(policies)
    (inbound,) = (one for one in compile_proxy(world, proxy_of(NODE)).listeners if one.name == "virtualInbound")
    chains = (one for one in inbound.filter_chains if one.match.destination_port == 8080)
    manager = next(one.filter for one in chains if isinstance(one.filter, HttpConnectionManager))
    (found,) = (one for one in manager.http_filters if isinstance(one, RbacFilter))
    return RbacGate(found, Counters("bench"))


class Asked:
    """Somebody for whom the policy of that number holds, whatever its sort."""

    def __init__(self, number: int) -> None:
        lines = f"GET /{number}/a HTTP/1.1\r\nhost: h{number}.example\r\nx-a: v{number:04}\r\nuser-agent: bench"
        self.head = Parser().request(lines.encode())
        self.head.path = self.head.target
        self._address = f"10.{number // 250}.{number % 250}.9:1".encode()
        self._principals = (f"spiffe://cluster.local/ns/n{number:04}/sa/s{number:04}".encode(),)
        self._metadata = {JWT_AUTHN: {JWT_PAYLOAD: {"role": f"r{number:04}"}}}

    def access(self) -> Access:
        """What a filter is told, made anew for each request."""
        return Access(
            self.head,
            self._address,
            ("10.0.0.1", 8080),
            remote=self._address,
            principals=self._principals,
            metadata=self._metadata,
        )


def _never() -> float:
    raise RuntimeError("nothing is left to chance")


def costs(sort: str, count: int) -> dict[int, float]:
    """By the number of policies, microseconds of CPU time of each of ``count`` decisions; the best of rounds by turns."""
    gates = {1: gate(sort, [CHOSEN]), MANY: gate(sort, range(MANY))}
    pair = (Asked(CHOSEN), Asked(MANY))
    found: dict[int, list[float]] = {size: [] for size in gates}
    for size, one in gates.items():
        allowed = [one.on_request(who.head, None, _never, who.access()) is None for who in pair]
        if allowed != [True, False]:
            raise ValueError(f"{sort}, {size} policies: {allowed}")
    asked = pair * (count // 2)
    for _ in range(ROUNDS):
        for size, one in gates.items():
            began = time.process_time()
            for who in asked:
                one.on_request(who.head, None, _never, who.access())
            found[size].append((time.process_time() - began) / len(asked) * 1e6)
    return {size: min(times) for size, times in found.items()}


if __name__ == "__main__":
    print(json.dumps({sort: list(costs(sort, int(sys.argv[1])).values()) for sort in SORTS}))
