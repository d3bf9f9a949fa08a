"""Random settings of a mesh and policies about every connection and request: logs, traces, headers, tokens, authorization; by
seed alone."""

from collections.abc import Sequence
from typing import Any

import yaml

from tests.support.dice import Dice
from tests.support.istio_compiler import Asker

ASKED = "asked.helpers.svc.cluster.local"
JWKS = '{"keys":[{"kty":"oct","alg":"HS256","kid":"1","k":"c2VjcmV0"}]}'
NAMESPACES = ("default", "istio-system", "other")

FIXED = f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: reviews, namespace: default}}
spec:
  hosts: [reviews.default.svc.cluster.local]
  addresses: [10.96.0.10]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 9080, name: http, protocol: HTTP}}, {{number: 9000, name: tcp, protocol: TCP}}]
  workloadSelector: {{labels: {{app: reviews}}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: reviews-v1, namespace: default}}
spec: {{address: 127.0.0.11, labels: {{app: reviews, version: v1}}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: helpers, namespace: helpers}}
spec:
  hosts: [{ASKED}]
  addresses: [10.96.0.20]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 8000, name: http, protocol: HTTP}}, {{number: 9000, name: grpc, protocol: GRPC}}]
  endpoints: [{{address: 127.0.0.30}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: door, namespace: istio-system}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - {{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ["*"]}}
  - {{port: {{number: 9000, name: tcp, protocol: TCP}}, hosts: ["*"]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: bytes, namespace: istio-system}}
spec:
  hosts: ["*"]
  gateways: [door]
  tcp: [{{match: [{{port: 9000}}], route: [{{destination: {{host: {ASKED}, port: {{number: 9000}}}}}}]}}]
"""

ASKERS = {
    "client": ("sidecar~127.0.0.1~client-1.default~default.svc.cluster.local", {"app": "client"}, "default"),
    "server": ("sidecar~127.0.0.11~reviews-v1.default~default.svc.cluster.local", {"app": "reviews"}, "default"),
    "gateway": (
        "router~127.0.0.99~ingress-1.istio-system~istio-system.svc.cluster.local",
        {"istio": "ingressgateway"},
        "istio-system",
    ),
}
AUTHORIZERS = ("ask-http", "ask-grpc", "ask-nobody")
LOGS = ("envoy", "file", "json", "als", "tcp-als", "otel-log", "lost-log", "zipkin")
TRACERS = ("zipkin", "datadog", "skywalking", "otel", "lost", "envoy")
EXPRESSIONS = ("response.code >= 400", "request.url_path == '/a'")


def mesh(seed: int) -> str:
    """The settings of the mesh."""
    dice = Dice(seed)
    found: dict[str, Any] = {"enableTracing": dice.maybe(), "extensionProviders": _providers(dice)}
    found |= dice.fields(
        0.4,
        accessLogFile=lambda: dice.one(["/dev/stdout", ""]),
        accessLogEncoding="JSON",
        accessLogFormat=lambda: dice.one(['{"a":"%PROTOCOL%"}', "%REQ_WITHOUT_QUERY(:PATH)%", '{"a":{"b":[1,"c"]}}']),
        disableEnvoyListenerLog=True,
        enableEnvoyAccessLogService=True,
        pathNormalization=lambda: {
            "normalization": dice.one(["DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"])
        },
        trustDomainAliases=["old.example", "older.example"],
        defaultConfig=lambda: settings(dice),
        defaultProviders=lambda: dice.fields(
            0.5, accessLogging=lambda: dice.some(LOGS), tracing=lambda: dice.some(TRACERS)
        ),
    )
    return str(yaml.safe_dump(found))


def _providers(dice: Dice) -> list[dict[str, Any]]:
    http, grpc = {"service": ASKED, "port": 8000}, {"service": f"helpers/{ASKED}", "port": 9000}
    body = {"maxRequestBytes": 100, "allowPartialMessage": True}
    asks = dice.fields(0.4, timeout="3s", failOpen=True, statusOnError="503", includeRequestBodyInCheck=body)
    http_asks = dice.fields(
        0.4,
        pathPrefix="/ask",
        includeRequestHeadersInCheck=["x-a", "x-b*"],
        includeHeadersInCheck=["*-old"],
        includeAdditionalHeadersInCheck={"x-z": "1", "x-y": "2"},
        headersToUpstreamOnAllow=["x-u"],
        headersToDownstreamOnDeny=["x-d*"],
        headersToDownstreamOnAllow=["x-e"],
    )
    format_ = dice.one([{}, {"logFormat": {"text": "%PROTOCOL%"}}, {"logFormat": {"labels": {"a": "%PROTOCOL%"}}}])
    tags = dice.fields(0.4, maxTagLength=77)
    return [
        {"name": "ask-http", "envoyExtAuthzHttp": http | asks | http_asks},
        {"name": "ask-grpc", "envoyExtAuthzGrpc": grpc | asks},
        {
            "name": "file",
            "envoyFileAccessLog": {"path": "/dev/stderr"} | format_ | dice.fields(0.4, omitEmptyValues=True),
        },
        {"name": "json", "envoyFileAccessLog": {"logFormat": {"labels": {"a": {"b": "%REQ(x)%"}, "c": "%PROTOCOL%"}}}},
        {"name": "als", "envoyHttpAls": grpc | dice.fields(0.4, logName="mine", additionalRequestHeadersToLog=["x-a"])},
        {"name": "tcp-als", "envoyTcpAls": grpc | dice.fields(0.4, filterStateObjectsToLog=["s"])},
        {
            "name": "otel-log",
            "envoyOtelAls": grpc | dice.fields(0.4, logFormat={"text": "%PROTOCOL%", "labels": {"a": "b"}}),
        },
        {"name": "lost-log", "envoyOtelAls": {"service": "nobody.example", "port": 1}},
        {"name": "zipkin", "zipkin": http | tags | dice.fields(0.4, timeout="2s", enable64bitTraceId=True, path="/s")},
        {"name": "datadog", "datadog": http | tags},
        {"name": "skywalking", "skywalking": grpc},
        {"name": "otel", "opentelemetry": grpc | tags | dice.fields(0.4, resourceDetectors={"environment": {}})},
        {"name": "lost", "zipkin": {"service": "nobody.example", "port": 1}},
    ]


def settings(dice: Dice) -> dict[str, Any]:
    """The settings of a proxy."""
    forwards = ("SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY")
    off = {"disabled": True}
    headers = dice.fields(
        0.3,
        server=lambda: dice.one([off, {"value": "mine"}, {}]),
        requestId=off,
        attemptCount=off,
        envoyDebugHeaders=off,
        forwardedClientCert=lambda: dice.one(forwards),
        setCurrentClientCertDetails=lambda: dice.fields(
            0.5, subject=dice.maybe(), cert=True, chain=True, uri=dice.maybe()
        ),
        preserveHttp1HeaderCase=True,
        xForwardedHost={"enabled": True},
        xForwardedPort={"enabled": True},
    )
    limits = dice.fields(
        0.3,
        profile="EDGE",
        listenerPerConnectionBufferLimitBytes=4096,
        httpIdleTimeout="60s",
        httpMaxConnectionDuration="3600s",
        httpStreamIdleTimeout="20s",
        httpRequestTimeout="30s",
        httpRequestHeadersTimeout="5s",
        httpDrainTimeout="7s",
        httpMaxStreamDuration="90s",
        httpMaxConcurrentStreams=50,
        http2InitialStreamWindowSize=70000,
        httpHeadersWithUnderscoresAction="HEADERS_WITH_UNDERSCORES_DROP_HEADER",
        httpMergeSlashes=dice.maybe(),
        httpPathWithEscapedSlashesAction=dice.one(["KEEP_UNCHANGED", "REJECT_REQUEST", "UNESCAPE_AND_FORWARD"]),
    )
    tracing = dice.fields(
        0.5,
        sampling=12.5,
        maxPathTagLength=33,
        customTags={"a": {"literal": {"value": "1"}}},
        enableIstioTags=dice.maybe(),
    )
    topology = dice.fields(0.5, numTrustedProxies=2, forwardClientCertDetails=dice.one(forwards))
    return dice.fields(0.5, proxyHeaders=headers, connectionSettings=limits, tracing=tracing, gatewayTopology=topology)


def askers(seed: int) -> list[Asker]:
    """The proxies, some of which bring settings along."""
    dice = Dice(seed + 1_000_000)
    found = []
    for identity, labels, namespace in ASKERS.values():
        said = dice.fields(0.2, HTTP10="1", MESH_ID="m", WORKLOAD_NAME="w", PROXY_CONFIG=lambda: settings(dice))
        more = dice.fields(
            0.3, **{"service.istio.io/canonical-name": "name", "service.istio.io/canonical-revision": "r"}
        )
        found.append(Asker(identity, {"LABELS": labels | more, "NAMESPACE": namespace} | said))
    return found


def world(seed: int) -> str:
    """The objects."""
    dice = Dice(seed + 2_000_000)
    documents = [_telemetry(dice, index) for index in range(dice.random.randint(0, 3))]
    documents += [_tokens(dice, index) for index in range(dice.random.randint(0, 2))]
    documents += [_authorization(dice, index) for index in range(dice.random.randint(0, 4))]
    dice.random.shuffle(documents)
    return "---\n".join([FIXED, *(yaml.safe_dump(document) for document in documents)])


def _object(dice: Dice, group: str, kind: str, name: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    labels = dice.one([{"app": "reviews"}, {"istio": "ingressgateway"}, {"app": "other"}])
    selector = {"selector": {"matchLabels": labels}} if dice.maybe(0.4) else {}
    return {
        "apiVersion": f"{group}.istio.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": dice.one(NAMESPACES)} | metadata,
        "spec": selector | spec,
    }


def _named(names: Sequence[str]) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


def _telemetry(dice: Dice, index: int) -> dict[str, Any]:
    def mode() -> dict[str, str]:
        return {"mode": dice.one(["CLIENT", "SERVER", "CLIENT_AND_SERVER"])}

    def log() -> dict[str, Any]:
        return dice.fields(
            0.4,
            match=mode,
            providers=lambda: _named(dice.some(LOGS)),
            disabled=dice.maybe,
            filter=lambda: {"expression": dice.one(EXPRESSIONS)},
        )

    def trace() -> dict[str, Any]:
        return dice.fields(
            0.4,
            match=mode,
            providers=lambda: _named(dice.some(TRACERS, most=2)),
            disableSpanReporting=dice.maybe,
            randomSamplingPercentage=lambda: dice.one([0.0, 50.0, 12.5]),
            customTags={
                "t": {"header": {"name": "x-t", "defaultValue": "d"}},
                "f": {"formatter": {"value": "%PROTOCOL%"}},
            },
            useRequestIdForTraceSampling=dice.maybe,
            enableIstioTags=dice.maybe,
            disableContextPropagation=dice.maybe,
        )

    spec = dice.fields(
        0.7,
        accessLogging=lambda: [log() for _ in range(dice.random.randint(1, 3))],
        tracing=lambda: [trace() for _ in range(dice.random.randint(1, 2))],
    )
    return _object(dice, "telemetry", "Telemetry", f"telemetry-{index}", spec)


def _tokens(dice: Dice, index: int) -> dict[str, Any]:
    def rule(number: int) -> dict[str, Any]:
        return {"issuer": dice.one(["a", "b", "c"]) + f"-{index}{number}", "jwks": JWKS} | dice.fields(
            0.3,
            audiences=["m", "o"],
            fromHeaders=[{"name": "x-t", "prefix": "Bearer "}],
            fromParams=["p"],
            fromCookies=["k"],
            outputPayloadToHeader="x-payload",
            forwardOriginalToken=True,
            outputClaimToHeaders=[{"header": "x-sub", "claim": "sub"}],
            spaceDelimitedClaims=["roles"],
        )

    rules = [rule(number) for number in range(dice.random.randint(0, 3))]
    return _object(dice, "security", "RequestAuthentication", f"tokens-{index}", {"jwtRules": rules})


SOURCES = {
    "principals": ["*", "cluster.local/ns/a/sa/b", "old.example/ns/a/*", "*/sa/b"],
    "namespaces": ["a", "b*", "*c"],
    "ipBlocks": ["10.0.0.0/8", "1.2.3.4"],
    "remoteIpBlocks": ["11.0.0.0/8"],
    "requestPrincipals": ["*", "iss/sub", "iss/*", "*/sub"],
}
OPERATIONS = {
    "hosts": ["a.example", "*.example", "b.*"],
    "methods": ["GET", "P*"],
    "paths": ["/a", "/b*", "*/c", "/d/{*}/e", "*"],
    "ports": ["80", "9000"],
}
CONDITIONS = {
    "request.headers[x-a]": ["1", "2*", "*"],
    "source.ip": ["10.0.0.0/8"],
    "remote.ip": ["10.1.0.0/16"],
    "source.namespace": ["a"],
    "source.principal": ["cluster.local/ns/a/sa/b"],
    "request.auth.principal": ["iss/sub"],
    "request.auth.audiences": ["m"],
    "request.auth.presenter": ["p"],
    "request.auth.claims[groups]": ["g", "h*"],
    "request.auth.claims[a][b]": ["c"],
    "destination.ip": ["10.0.0.1"],
    "destination.port": ["9080"],
    "connection.sni": ["*.example"],
    "experimental.envoy.filters.a.b[c]": ["d", "[e]"],
}
FOR_SERVERS = ("notIpBlocks", "ipBlocks")
"""What Istio takes of a source where a server is asked."""


def _authorization(dice: Dice, index: int) -> dict[str, Any]:
    action = dice.one(["ALLOW", "DENY", "AUDIT", "CUSTOM"])
    custom = action == "CUSTOM"
    spec: dict[str, Any] = {"action": action} if dice.maybe(0.9) or custom else {}
    if custom:
        spec["provider"] = {"name": dice.one(AUTHORIZERS)}
    spec["rules"] = [_rule(dice, custom) for _ in range(dice.random.randint(0 if action == "ALLOW" else 1, 2))]
    dry = {"annotations": {"istio.io/dry-run": "true"}} if action in ("ALLOW", "DENY") and dice.maybe(0.3) else {}
    return _object(dice, "security", "AuthorizationPolicy", f"authorization-{index}", spec, **dry)


def _rule(dice: Dice, custom: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if dice.maybe() and not custom:
        found["from"] = [{"source": _values(dice, SOURCES)} for _ in range(dice.random.randint(1, 2))]
    if dice.maybe():
        found["to"] = [{"operation": _values(dice, OPERATIONS)} for _ in range(dice.random.randint(1, 2))]
    if dice.maybe() and not custom:
        found["when"] = [_condition(dice) for _ in range(dice.random.randint(1, 2))]
    return found


def _values(dice: Dice, known: dict[str, list[str]]) -> dict[str, Any]:
    found = {}
    for name in dice.some(list(known), most=2):
        key = f"not{name[:1].upper()}{name[1:]}" if dice.maybe(0.3) else name
        found[key] = dice.some(known[name], most=2)
    return found


def _condition(dice: Dice) -> dict[str, Any]:
    key = dice.one(list(CONDITIONS))
    return {"key": key, dice.one(["values", "notValues"]): dice.some(CONDITIONS[key], most=2)}
