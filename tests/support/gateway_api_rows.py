"""Specs of Gateway API kinds, each with what we say of it: for every rule of the official definitions one that breaks it and
one that just does not. Unit tests look at our words, the differential test asks Kubernetes' own code for its verdict.
"""

from typing import Any, NamedTuple

import yaml

GROUP = "gateway.networking.k8s.io"


class Row(NamedTuple):
    """A spec of a kind and a fragment of the problem (``""``: it is right)."""

    kind: str
    spec: str
    said: str = ""
    version: str = "v1"

    def document(self) -> dict[str, Any]:
        """The whole object."""
        metadata = {"name": "a"} | ({} if self.kind == "GatewayClass" else {"namespace": "default"})
        return {
            "apiVersion": f"{GROUP}/{self.version}",
            "kind": self.kind,
            "metadata": metadata,
            "spec": yaml.safe_load(self.spec),
        }


def _http(rule: str, said: str = "") -> Row:
    return Row("HTTPRoute", f"{{rules: [{rule}]}}", said)


def _filter(text: str, said: str = "") -> Row:
    return _http(f"{{filters: [{text}]}}", said)


def _grpc(rule: str, said: str = "") -> Row:
    return Row("GRPCRoute", f"{{rules: [{rule}]}}", said)


def _matches(count: int) -> str:
    return f"{{matches: [{', '.join(['{}'] * count)}]}}"


def _gateway(listener: str, said: str = "", more: str = "") -> Row:
    return Row("Gateway", f"{{gatewayClassName: istio, listeners: [{listener}]{more}}}", said)


def _with(more: str, said: str = "") -> Row:
    return _gateway("{name: a, port: 80, protocol: HTTP}", said, f", {more}")


def _path(text: str, said: str = "") -> Row:
    return _http(f"{{matches: [{{path: {text}}}]}}", said)


def _cors(text: str, said: str = "") -> Row:
    return _filter(f"{{type: CORS, cors: {text}}}", said)


def _auth(text: str, said: str = "") -> Row:
    return _filter(f"{{type: ExternalAuth, externalAuth: {{backendRef: {{name: a, port: 1}}, {text}}}}}", said)


def _mirror(text: str, said: str = "") -> Row:
    return _filter(f"{{type: RequestMirror, requestMirror: {{backendRef: {{name: a, port: 1}}, {text}}}}}", said)


def _session(text: str, said: str = "") -> list[Row]:
    return [_http(f"{{sessionPersistence: {text}}}", said), _grpc(f"{{sessionPersistence: {text}}}", said)]


_SPECS = {
    "HTTPRoute": "{%s}",
    "GRPCRoute": "{%s}",
    "TCPRoute": "{rules: [{backendRefs: [{name: a, port: 1}]}], %s}",
    "TLSRoute": "{hostnames: [a.com], rules: [{backendRefs: [{name: a, port: 1}]}], %s}",
}
_PARENTS = [
    ("[{name: g}, {name: h}]", ""),
    ("[{name: g}, {name: g}]", "parentRefs[1]: parent g stands twice"),
    ("[{name: g}, {name: g, kind: Gateway, group: gateway.networking.k8s.io}]", "parent g stands twice"),
    ("[{name: g}, {name: g, kind: Service, group: ''}]", ""),
    ("[{name: g}, {name: g, namespace: x}]", ""),
    ("[{name: g, namespace: x}, {name: g, namespace: x}]", "parent g stands twice"),
    ("[{name: g}, {name: g, sectionName: s}]", "give each the same of sectionName and port"),
    ("[{name: g, port: 1}, {name: g, sectionName: s}]", "give each the same of sectionName and port"),
    ("[{name: g, port: 1}, {name: g, port: 2}]", ""),
    ("[{name: g, port: 1}, {name: g, port: 1}]", "stands twice"),
    ("[{name: g, sectionName: s}, {name: g, sectionName: s}]", "stands twice"),
    ("[{name: g, sectionName: s, port: 1}, {name: g, sectionName: s, port: 2}]", ""),
    ("[{name: g, sectionName: S}]", "parentRefs[0].sectionName: 'S' is not a name"),
    ("[{name: g, port: 0}]", "parentRefs[0].port"),
    ("[{name: ''}]", "parentRefs[0].name: has 0 characters; 1 to 253 are allowed"),
    ("[{name: 'any thing!'}]", ""),
    ("[{port: 1}]", "parentRefs[0].name: is required"),
]
PARENTS = [
    *(Row(kind, text % f"parentRefs: {refs}", said) for kind, text in _SPECS.items() for refs, said in _PARENTS),
    *(Row(kind, text % "useDefaultGateways: All") for kind, text in _SPECS.items()),
    *(Row(kind, text % "useDefaultGateways: Some", "useDefaultGateways") for kind, text in _SPECS.items()),
]

_CERTIFICATE = "certificateRefs: [{name: c}]"
GATEWAYS = [
    _gateway("{name: a, port: 80, protocol: HTTP}"),
    Row("Gateway", "{gatewayClassName: istio, listeners: []}", "spec.listeners: must have at least 1 item"),
    Row("Gateway", "{gatewayClassName: istio}", "spec.listeners: is required"),
    Row("Gateway", "{listeners: [{name: a, port: 80, protocol: HTTP}]}", "spec.gatewayClassName: is required"),
    *(
        _gateway(
            f"{{name: a, port: 80, protocol: {protocol}, tls: {{{_CERTIFICATE}}}}}", "tls: does not go with protocol"
        )
        for protocol in ("HTTP", "TCP", "UDP")
    ),
    _gateway("{name: a, port: 80, protocol: http, tls: {" + _CERTIFICATE + "}}"),
    _gateway("{name: a, port: 443, protocol: HTTPS}"),
    _gateway(
        "{name: a, port: 443, protocol: HTTPS, tls: {mode: Passthrough}}", "tls.mode: must be Terminate for HTTPS"
    ),
    _gateway("{name: a, port: 443, protocol: TLS, tls: {mode: Passthrough}}"),
    _gateway("{name: a, port: 443, protocol: TLS}", "tls: is required for protocol TLS"),
    _gateway("{name: a, port: 443, protocol: TLS, tls: {" + _CERTIFICATE + "}}"),
    _gateway("{name: a, port: 443, protocol: TLS, tls: {}}", "tls.certificateRefs: is required where TLS ends"),
    _gateway("{name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: []}}", "certificateRefs: is required"),
    _gateway(
        "{name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [], options: {}}}", "certificateRefs: is required"
    ),
    _gateway("{name: a, port: 443, protocol: HTTPS, tls: {options: {a: b}}}"),
    _gateway("{name: a, port: 80, protocol: TCP, hostname: a.com}", "hostname: does not go with protocol TCP"),
    _gateway("{name: a, port: 80, protocol: UDP, hostname: a.com}", "hostname: does not go with protocol UDP"),
    _gateway("{name: a, port: 80, protocol: example.com/own, hostname: a.com}"),
    _gateway("{name: a, port: 80, protocol: a_b}", "protocol: 'a_b' is not a protocol"),
    _gateway("{name: a, port: 80, protocol: '!!example.com/own'}"),  # the pattern has no beginning there
    _gateway("{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}", "name 'a' stands twice"),
    _gateway(
        "{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}", "listener a has the same port"
    ),
    _gateway("{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP, hostname: a.com}"),
    _gateway("{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTPS}"),
    _gateway("{name: a, port: 80, protocol: HTTP, hostname: 10.0.0.1}"),
    _gateway("{name: a, port: 80, protocol: HTTP, hostname: A.com}", "hostname: 'A.com' is not a host name"),
    _gateway("{name: a, port: 80, protocol: HTTP, hostname: '*'}", "'*' is not a host name"),
    _gateway("{name: a, port: 80, protocol: HTTP, hostname: ''}", "hostname: has 0 characters"),
    _gateway('{name: a, port: 80, protocol: HTTP, hostname: "a.com\\n"}', "is not a host name"),
    _gateway("{name: a, port: 65536, protocol: HTTP}", "port"),
    _gateway("{name: a, port: '80', protocol: HTTP}", "write it without quotes"),
    _gateway(
        "{name: a, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: HTTPRoute}], namespaces: {from: All}}}"
    ),
    _gateway("{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: None}}}", "from"),
    _gateway("{name: a, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{group: a}]}}", "kinds[0].kind: is required"),
    _gateway("{name: a, port: 80, protocol: HTTP, alowedRoutes: {}}", "did you mean allowedRoutes?"),
    _gateway(", ".join(f"{{name: a{port}, port: {port}, protocol: HTTP}}" for port in range(1, 65))),
    _gateway(", ".join(f"{{name: a{port}, port: {port}, protocol: HTTP}}" for port in range(1, 66)), "at most 64"),
    _with("addresses: [{value: 10.0.0.1}, {value: '::1'}, {}, {}, {type: Hostname}, {type: Hostname}]"),
    _with("addresses: [{value: 10.0.0.1}, {type: IPAddress, value: 10.0.0.1}]", "10.0.0.1 stands twice; keep one"),
    _with("addresses: [{type: Hostname, value: a}, {type: Hostname, value: a}]", "a stands twice; keep one"),
    _with("addresses: [{type: NamedAddress, value: a}, {type: NamedAddress, value: a}]"),
    _with("addresses: [{value: a}]", "addresses[0].value: 'a' is not an IP address"),
    _with("addresses: [{value: ''}]", "'' is not an IP address"),
    _with("addresses: [{value: 10.0.0.01}]"),  # read as 10.0.0.1
    _with("addresses: [{value: '::ffff:010.0.0.0'}, {value: 0.0.0.0}, {value: '::'}]"),
    _with("addresses: [{value: '00001::'}]", "is not an IP address"),
    _with("addresses: [{value: 10..0.1}]", "is not an IP address"),
    _with("addresses: [{value: 256.0.0.1}]", "is not an IP address"),
    _with("addresses: [{value: 10.0.0}]", "is not an IP address"),
    _with("addresses: [{value: 'fe80::1%eth0'}]", "is not an IP address"),
    _with("addresses: [{value: '::ffff:10.0.0.1'}]"),
    _with("addresses: [{value: '::ffff:1.2.3.4%1'}]", "is not an IP address"),
    _with("addresses: [{value: ' 1.2.3.4'}]", "is not an IP address"),
    _with("addresses: [{value: '1::2::3'}]", "is not an IP address"),
    _with("addresses: [{type: Hostname, value: A}]", "'A' is not a host name"),
    _with("addresses: [{type: Hostname, value: ''}]", "'' is not a host name"),
    _with("addresses: [{type: Hostname, value: '*.a.com'}]"),
    _with("addresses: [{type: Hosts, value: A}]", "type: 'Hosts' is not a type of addresses"),
    _with("addresses: [{type: NotAnIPAddressAtAll, value: A}]"),  # the pattern's middle has neither end
    _with("infrastructure: {labels: {a.b/c: d, e: ''}, annotations: {a: '!'}}"),
    _with("infrastructure: {labels: {'-a': b}}", "infrastructure.labels.-a: is no key"),
    _with("infrastructure: {labels: {a: '-b'}}", "infrastructure.labels.a: '-b' is not the value of a label"),
    _with("infrastructure: {annotations: {'a b': c}}", "is no key"),
    _with("infrastructure: {annotations: {'%s/c': d}}" % ("a" * 253), "has a prefix of more than 252 characters"),
    _with("infrastructure: {labels: {'%s/c': d}}" % ("a" * 253), "has a prefix of more than 252 characters"),
    _with("infrastructure: {labels: {'%s/c': d}}" % ("a" * 252)),
    _with("infrastructure: {annotations: {'%s': d}}" % ("a" * 64), "is no key"),
    _with(f"infrastructure: {{labels: {{{', '.join(f'a{n}: b' for n in range(9))}}}}}", "at most 8 are allowed"),
    _with("infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: a}}"),
    _with("infrastructure: {parametersRef: {kind: ConfigMap, name: a}}", "parametersRef.group: is required"),
    _with("defaultScope: All"),
    _with("allowedListeners: {namespaces: {from: Selector, selector: {matchLabels: {a: b}}}}"),
    _with("allowedListeners: {namespaces: {selector: {matchExpressions: [{key: a, operator: Whatever}]}}}"),
    _with("tls: {frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: a}]}}}}"),
    _with("tls: {frontend: {default: {}, perPort: [{port: 1, tls: {}}, {port: 2, tls: {}}]}}"),
    _with("tls: {frontend: {default: {}, perPort: [{port: 1, tls: {}}, {port: 1, tls: {}}]}}", "port 1 stands twice"),
    _with("tls: {frontend: {}}", "tls.frontend.default: is required"),
    _with("tls: {frontend: {default: {validation: {caCertificateRefs: []}}}}", "must have at least 1 item"),
    _with("tls: {backend: {clientCertificateRef: {name: a, namespace: b}}}"),
    Row("Gateway", "{gatewayClassName: a, listeners: [{name: a, port: 1, protocol: TCP}]}", version="v1beta1"),
    Row(
        "Gateway",
        "{gatewayClassName: a, listeners: [{name: a, port: 1, protocol: TCP}]}",
        "unknown",
        version="v1alpha2",
    ),
]

_ONE_PREFIX = "matches: must be exactly one PathPrefix"
_FILTERS = {
    "CORS": "cors: {}",
    "RequestHeaderModifier": "requestHeaderModifier: {}",
    "ResponseHeaderModifier": "responseHeaderModifier: {}",
    "RequestMirror": "requestMirror: {backendRef: {name: a, port: 1}}",
    "RequestRedirect": "requestRedirect: {}",
    "URLRewrite": "urlRewrite: {}",
    "ExtensionRef": "extensionRef: {group: a, kind: B, name: c}",
    "ExternalAuth": "externalAuth: {protocol: GRPC, grpc: {}, backendRef: {name: a, port: 1}}",
}
_GRPC_FILTERS = ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "ExtensionRef")


def _filters() -> list[Row]:
    """Each filter alone, without its field, with another's, twice, and of a backend."""
    rows: list[Row] = []
    for make, kinds in ((_http, tuple(_FILTERS)), (_grpc, _GRPC_FILTERS)):
        for kind in kinds:
            own = f"type: {kind}, {_FILTERS[kind]}"
            once = kind not in ("RequestMirror", "ExtensionRef", "ExternalAuth")
            other = _FILTERS[kinds[kinds.index(kind) - 1]]
            for text in ("{filters: [%s]}", "{backendRefs: [{name: a, port: 1, filters: [%s]}]}"):
                rows += [
                    make(text % f"{{{own}}}"),
                    make(text % f"{{type: {kind}}}", "is required"),
                    make(text % f"{{{own}, {other}}}", f"and this is of type {kind}; remove it, or change the type"),
                    make(text % f"{{{own}}}, {{{own}}}", f"{kind} stands twice; keep one" if once else ""),
                ]
    return rows


def _prefixes() -> list[Row]:
    """``replacePrefixMatch``, in a rule's filters and in those of backends, with matches that fit it and others."""
    rows: list[Row] = []
    for kind, field in (("RequestRedirect", "requestRedirect"), ("URLRewrite", "urlRewrite")):
        part = f"{{type: {kind}, {field}: {{path: {{type: ReplacePrefixMatch, replacePrefixMatch: /b}}}}}}"
        backend = f"{{name: a, port: 1, filters: [{part}]}}"
        for place in (f"filters: [{part}]", f"backendRefs: [{backend}]"):
            rows += [
                _http(f"{{{place}}}"),
                _http(f"{{{place}, matches: [{{}}]}}"),
                _http(f"{{{place}, matches: [{{path: {{value: /a}}}}]}}"),
                _http(f"{{{place}, matches: [{{path: {{type: Exact, value: /a}}}}]}}", _ONE_PREFIX),
                _http(f"{{{place}, matches: [{{path: {{value: /a}}}}, {{path: {{value: /b}}}}]}}", _ONE_PREFIX),
                _http(f"{{{place}, matches: []}}", _ONE_PREFIX),
            ]
        rows.append(_http(f"{{backendRefs: [{backend}, {backend}], matches: [{{path: {{type: Exact, value: /a}}}}]}}"))
    return rows


HTTP_ROUTES = [
    Row("HTTPRoute", "{}"),
    Row("HTTPRoute", "{rules: []}", "rules: must have at least 1 item"),
    Row("HTTPRoute", "{rules: [{}], hostnames: [a.com, '*.b.com', 10.0.0.1]}", version="v1beta1"),
    Row("HTTPRoute", "{hostnames: ['*']}", "hostnames[0]: '*' is not a host name"),
    _http("{name: a}, {name: b}, {}, {}"),
    _http("{name: a}, {name: a}", "rules[1].name: 'a' stands twice"),
    _http(f"{_matches(64)}, {_matches(64)}"),
    _http(f"{_matches(64)}, {_matches(64)}" + ", {}", "have 129 matches together"),
    _http(f"{_matches(64)}, {_matches(64)}" + ", {matches: []}"),
    _http(_matches(65), "at most 64 are allowed"),
    _http("{backendRefs: [{name: a}]}", "backendRefs[0].port: is required for a Service"),
    _http("{backendRefs: [{name: a, kind: Other}, {name: a, group: b}, {name: a, port: 1, weight: 0}]}"),
    _http("{backendRefs: [{name: a, port: 1, weight: 1000001}]}", "weight"),
    _http(
        "{backendRefs: [{name: a, port: 1}], filters: [{type: RequestRedirect, requestRedirect: {}}]}",
        "answers by itself",
    ),
    _http("{backendRefs: [], filters: [{type: RequestRedirect, requestRedirect: {}}]}"),
    _filter(
        "{type: RequestRedirect, requestRedirect: {}}, {type: URLRewrite, urlRewrite: {}}", "excludes RequestRedirect"
    ),
    _http(
        "{backendRefs: [{name: a, port: 1, filters: [{type: URLRewrite, urlRewrite: {}}, "
        "{type: RequestRedirect, requestRedirect: {}}]}]}",
        "URLRewrite excludes RequestRedirect",
    ),
    _filter("{type: Nonsense}", "'Nonsense' is unknown; allowed are RequestHeaderModifier"),
    _filter("{requestMirror: {backendRef: {name: a, port: 1}}}", "type: is required"),
    _filter("{type: CORS, cors: {}, croos: 1}", "there is no such field"),
    _filter(
        "{type: RequestRedirect, requestRedirect: {hostnam: a}}", "requestRedirect.hostnam: there is no such field; did"
    ),
    _filter("{type: CORS, cors: {allowOrigin: [a]}}", "did you mean allowOrigins?"),
    _filter("[]", "must be a map of fields"),
    Row(
        "HTTPRoute", "{parent_refs: [{name: g}]}", "spec.parent_refs: there is no such field; did you mean parentRefs?"
    ),
    _filter("{type: URLRewrite, url_rewrite: {}}", "there is no such field; did you mean urlRewrite?"),
    _filter("{type: RequestRedirect, requestRedirect: {status_code: 301}}", "did you mean statusCode?"),
    _filter(
        "{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replace_full_path: a}}}",
        "did you mean replaceFullPath?",
    ),
    *_filters(),
    *_prefixes(),
    _cors("{allowMethods: ['*']}"),
    _cors("{allowMethods: ['*', GET]}", "allowMethods[0]: `*` stands for all"),
    _cors("{allowHeaders: [a, '*']}", "allowHeaders[1]: `*` stands for all"),
    _cors("{allowOrigins: ['*', 'https://a.com']}", "allowOrigins[0]: `*` stands for all"),
    _cors("{allowOrigins: ['https://*.a.com:443', 'http://*', 'https://10.0.0.1']}"),
    _cors("{allowOrigins: ['https://a.com/']}", "is not an origin"),
    _cors("{allowOrigins: ['ftp://a.com']}", "is not an origin"),
    _cors("{allowOrigins: ['https://a.com', 'https://a.com']}", "'https://a.com' stands twice"),
    _cors("{allowMethods: [GET, GET]}", "'GET' stands twice"),
    _cors("{exposeHeaders: ['*', a], maxAge: 1, allowCredentials: true}"),
    _cors("{exposeHeaders: [a, a]}", "'a' stands twice"),
    _cors("{maxAge: 0}", "maxAge"),
    _cors("{allowCredentials: 'true'}", "must be true or false"),
    _auth(
        "protocol: HTTP, http: {path: /a, allowedHeaders: [a], allowedResponseHeaders: [b]}, forwardBody: {maxSize: -1}"
    ),
    _auth("protocol: HTTP", "http: is required with protocol HTTP"),
    _auth("protocol: GRPC", "grpc: is required with protocol GRPC"),
    _auth("protocol: HTTP, http: {}, grpc: {}", "grpc: does not go with protocol HTTP"),
    _auth("protocol: GRPC, http: {}, grpc: {}", "http: does not go with protocol GRPC"),
    _auth("protocol: HTTP, http: {path: 'a b'}", "path: 'a b' is not a path"),
    _auth("protocol: HTTP, http: {path: ''}", "path: '' is not a path"),
    _auth("protocol: GRPC, grpc: {allowedHeaders: [a, a]}", "'a' stands twice"),
    _filter(
        "{type: ExternalAuth, externalAuth: {backendRef: {name: a}, protocol: GRPC, grpc: {}}}",
        "is required for a Service",
    ),
    _mirror("percent: 100"),
    _mirror("percent: 101", "percent"),
    _mirror("fraction: {numerator: 0}"),
    _mirror("fraction: {numerator: 101}", "numerator: 101 is more than the denominator, 100"),
    _mirror("fraction: {numerator: 3, denominator: 2}", "3 is more than the denominator, 2"),
    _mirror("fraction: {numerator: 1, denominator: 0}", "denominator"),
    _mirror("fraction: {numerator: 1}, percent: 1", "fraction: excludes percent"),
    _filter("{type: RequestMirror, requestMirror: {backendRef: {name: a}}}", "is required for a Service"),
    _filter("{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: ''}}}"),
    _filter(
        "{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath}}}", "replaceFullPath: is required"
    ),
    _filter(
        "{type: RequestRedirect, requestRedirect: {path: {type: ReplacePrefixMatch}}}",
        "replacePrefixMatch: is required",
    ),
    _filter(
        "{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replacePrefixMatch: a}}}",
        "goes with type Replace",
    ),
    _filter(
        "{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replaceFullPath: a}}}",
        "goes with type Replace",
    ),
    _filter("{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath}}}", "replaceFullPath: is required"),
    _filter("{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch}}}", "replacePrefixMatch: is required"),
    _filter("{type: URLRewrite, urlRewrite: {path: {replaceFullPath: /}}}", "path.type: is required"),
    _filter("{type: URLRewrite, urlRewrite: {hostname: '*.a.com'}}", "and without wildcard"),
    _filter("{type: RequestRedirect, requestRedirect: {scheme: https, port: 8443, statusCode: 308, hostname: a}}"),
    _filter("{type: RequestRedirect, requestRedirect: {statusCode: 304}}", "statusCode"),
    _filter("{type: RequestRedirect, requestRedirect: {scheme: HTTPS}}", "scheme"),
    _filter("{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}, {name: A, value: b}]}}"),
    _filter(
        "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}, {name: a, value: c}]}}",
        "set[1]: name 'a' stands twice",
    ),
    _filter("{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a, a]}}", "remove[1]: 'a' stands twice"),
    _filter("{type: RequestHeaderModifier, requestHeaderModifier: {remove: ['', 'a b']}}"),
    _filter(
        "{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: 'a b', value: c}]}}", "name of a header"
    ),
    _filter(
        "{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: a, value: 'b  c'}]}}", "value of a header"
    ),
    _filter('{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: a, value: "b\\tc d"}]}}'),
    _filter(
        "{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: a, value: '%s'}]}}" % ("b" * 4095 + "é"),
        "value",
    ),
    _path("{value: /a%20b/~c}"),
    _path("{value: a}", "path.value: 'a' is not absolute; begin it with /"),
    _path("{type: RegularExpression, value: '(a//../%2f#'}"),
    _path("{value: ''}", "is not absolute"),
    _path("{type: RegularExpression, value: ''}"),
    *(_path(f"{{value: '/a{part}b'}}", f"holds {part}") for part in ("//", "/./", "/../", "%2f", "%2F", "#")),
    *(
        _path(f"{{type: Exact, value: '/a{part}b'}}", f"holds {part}")
        for part in ("//", "/./", "/../", "%2f", "%2F", "#")
    ),
    _path("{value: /a/..}", "ends with /.."),
    _path("{type: Exact, value: /a/.}", "ends with /."),
    _path("{value: /a/...}"),
    _path("{value: '/a b'}", "holds characters that a path does not"),
    _path('{value: "/a\\n"}', "holds characters that a path does not"),
    _path("{value: /a%2}", "holds characters that a path does not"),
    _path("{type: Exact, value: /é}", "holds characters that a path does not"),
    _path("{type: Prefix, value: /}", "path.type"),
    _path("{value: '/%s'}" % ("a" * 1024), "has 1025 characters"),
    _http("{matches: [{method: get}]}", "matches[0].method"),
    _http("{matches: [{headers: [{name: a, value: b}, {name: a, value: c}]}]}", "headers[1]: name 'a' stands twice"),
    _http("{matches: [{queryParams: [{name: a, value: b}, {name: a, value: c}]}]}", "name 'a' stands twice"),
    _http("{matches: [{queryParams: [{name: a, value: 'é  '}]}]}"),
    _http("{matches: [{headers: [{name: a, value: ''}]}]}", "value: has 0 characters"),
    _http("{timeouts: {request: 10s, backendRequest: 10000ms}}"),
    _http("{timeouts: {request: 10s, backendRequest: 10001ms}}", "timeouts.backendRequest: is longer than request"),
    _http("{timeouts: {request: 0s, backendRequest: 10s}}"),
    _http("{timeouts: {request: 0h0ms, backendRequest: 10s}}"),
    _http("{timeouts: {request: 1h30m5s7ms, backendRequest: 99999s}}", "is longer than request"),
    _http("{timeouts: {request: 1.5s}}", "is not a duration of the Gateway API"),
    _http("{timeouts: {request: 100000s}}", "is not a duration of the Gateway API"),
    _http("{timeouts: {request: 1h1h1h1h1h}}", "is not a duration of the Gateway API"),
    _http("{timeouts: {request: 5}}", "a duration is text such as 10s"),
    _http("{retry: {codes: [400, 599], attempts: 1, backoff: 1ms}}"),
    _http("{retry: {codes: [503, 503]}}", "codes[1]: 503 stands twice"),
    _http("{retry: {codes: [399]}}", "codes[0]"),
    _http("{retry: {attempts: 0}}", "attempts"),
]
SESSIONS = [
    *_session("{}"),
    *_session("{cookieConfig: {}}"),
    *_session("{type: Header, cookieConfig: {}}", "cookieConfig: goes with type Cookie"),
    *_session("{cookieConfig: {lifetimeType: Permanent}}", "absoluteTimeout: is required with a Permanent cookie"),
    *_session("{cookieConfig: {lifetimeType: Permanent}, absoluteTimeout: 1h, sessionName: ''}"),
    *_session("{type: Header, sessionName: '%s'}" % ("a" * 129), "sessionName: has 129 characters"),
]


def _method(text: str, said: str = "") -> Row:
    return _grpc(f"{{matches: [{{method: {text}}}]}}", said)


GRPC_ROUTES = [
    Row("GRPCRoute", "{}"),
    Row("GRPCRoute", "{rules: []}"),
    Row("GRPCRoute", "{}", "unknown", version="v1beta1"),
    _grpc("{name: a}, {name: a}", "rules[1].name: 'a' stands twice"),
    _grpc(f"{_matches(64)}, {_matches(64)}" + ", {}"),
    _grpc(f"{_matches(64)}, {_matches(64)}" + ", {matches: [{}]}", "have 129 matches"),
    _grpc("{backendRefs: [{name: a}]}", "backendRefs[0].port: is required for a Service"),
    _grpc("{filters: [{type: CORS, cors: {}}]}", "'CORS' is unknown"),
    _grpc("{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a}}}]}", "is required for a Service"),
    _grpc(
        "{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}, percent: 1, "
        "fraction: {numerator: 1}}}]}",
        "fraction: excludes percent",
    ),
    _grpc(
        "{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}, fraction: {numerator: 101}}}]}",
        "101 is more than the denominator",
    ),
    _method("{}", "service or method is required"),
    _method("{type: RegularExpression}", "service or method is required"),
    _method("{service: com.Example._a1, method: Login_2}"),
    _method("{service: .com.Example}"),
    _method("{service: com..Example}", "service: 'com..Example' is no gRPC service"),
    _method("{service: com/Example}", "is no gRPC service"),
    _method('{service: "a\\n"}', "is no gRPC service"),
    _method("{service: ''}", "is no gRPC service"),
    _method("{service: '\u017f'}"),  # without case, Go takes the long s for an s
    _method("{service: '\u212a'}"),  # and the sign of Kelvin to k
    _method("{service: '\u0130'}", "is no gRPC service"),
    _method("{service: a, method: 1a}", "method: '1a' is no gRPC method"),
    _method("{method: a.b}", "method: 'a.b' is no gRPC method"),
    _method("{method: '\u017f'}", "is no gRPC method"),
    _method("{type: RegularExpression, service: 'a.*(', method: ''}"),
    _grpc("{matches: [{headers: [{name: a, value: 'é'}]}]}"),
    _grpc("{matches: [{headers: [{name: a, value: b}, {name: a, value: c}]}]}", "name 'a' stands twice"),
]

_RULE = "{backendRefs: [{name: a, port: 1}]}"
STREAM_ROUTES = [
    *(
        Row(
            kind,
            f"{{hostnames: [a.com], rules: {rules}}}" if kind == "TLSRoute" else f"{{rules: {rules}}}",
            said,
            version,
        )
        for kind, versions in {"TLSRoute": ("v1", "v1alpha3", "v1alpha2"), "TCPRoute": ("v1", "v1alpha2")}.items()
        for version in versions
        for rules, said in (
            (f"[{_RULE}]", ""),
            ("[]", "rules: must have at least 1 item"),
            ("[{}]", "rules[0].backendRefs: is required"),
            ("[{backendRefs: []}]", "backendRefs: must have at least 1 item"),
            ("[{backendRefs: [{name: a}]}]", "port: is required for a Service"),
            (f"[{_RULE}, {_RULE}]", "" if version == "v1alpha2" else "rules: has 2 items; at most 1 is allowed"),
            (f"[{', '.join([_RULE] * 17)}]", "at most 16 are allowed"),
            (
                "[{name: a, backendRefs: [{name: a, port: 1}]}, {name: a, backendRefs: [{name: a, port: 1}]}]",
                "stands twice",
            ),
        )
    ),
    *(
        Row("TLSRoute", f"{{rules: [{_RULE}], {more}}}", "" if version == "v1alpha2" else said, version)
        for version in ("v1", "v1alpha3", "v1alpha2")
        for more, said in (
            ("hostnames: [a.com, '*.b.com']", ""),
            ("", "hostnames: is required"),
            ("hostnames: []", "hostnames: is required"),
            ("hostnames: [10.0.0.1]", "hostnames[0]: 10.0.0.1 is an address"),
            ("hostnames: [a.com, 10.0.0.1]", "hostnames[1]: 10.0.0.1 is an address"),
            ("hostnames: [10.0.0.01]", ""),
            ("hostnames: [1.2.3]", ""),
        )
    ),
    Row("TLSRoute", f"{{rules: [{_RULE}], hostnames: ['*']}}", "'*' is not a host name"),
    Row("TLSRoute", f"{{rules: [{_RULE}], hostnames: ['a.*.com']}}", "is not a host name", "v1alpha2"),
    Row("TLSRoute", f"{{rules: [{_RULE}], hostnames: [A]}}", "is not a host name"),
]

_FROM, _TO = "from: [{group: '', kind: A, namespace: b}]", "to: [{group: '', kind: Secret}]"
REFERENCE_GRANTS = [
    Row("ReferenceGrant", f"{{{_FROM}, {_TO}}}"),
    Row("ReferenceGrant", f"{{{_FROM}, {_TO}}}", version="v1beta1"),
    Row("ReferenceGrant", f"{{{_FROM}, {_TO}}}", "unknown", version="v1alpha2"),
    Row(
        "ReferenceGrant",
        f"{{{_FROM}, to: [{{group: '', kind: Secret, name: a}}, {{group: '', kind: Secret, name: a}}]}}",
    ),
    Row("ReferenceGrant", f"{{{_FROM}}}", "spec.to: is required"),
    Row("ReferenceGrant", f"{{{_TO}}}", "spec.from: is required"),
    Row("ReferenceGrant", f"{{from: [], {_TO}}}", "spec.from: must have at least 1 item"),
    Row("ReferenceGrant", f"{{{_FROM}, to: []}}", "spec.to: must have at least 1 item"),
    Row("ReferenceGrant", f"{{from: [{{kind: A, namespace: b}}], {_TO}}}", "spec.from[0].group: is required"),
    Row("ReferenceGrant", f"{{from: [{{group: A, kind: A, namespace: b}}], {_TO}}}", "'A' is not an API group"),
    Row("ReferenceGrant", f"{{from: [{{group: a, kind: A, namespace: b.c}}], {_TO}}}", "'b.c' is not a namespace"),
    Row("ReferenceGrant", f"{{from_: [{{group: a, kind: A, namespace: b}}], {_TO}}}", "from_: there is no such field"),
    Row("ReferenceGrant", f"{{from: [{{group: a, kind: 1, namespace: b}}], {_TO}}}", "put it in quotes"),
]

GATEWAY_CLASSES = [
    Row("GatewayClass", "{controllerName: istio.io/gateway-controller, description: ''}"),
    Row("GatewayClass", "{controllerName: istio.io/gateway-controller}", version="v1beta1"),
    Row("GatewayClass", "{controllerName: a/b, parametersRef: {group: '', kind: ConfigMap, name: c, namespace: d}}"),
    Row("GatewayClass", "{controllerName: istio.io}", "'istio.io' is not a controller; write DOMAIN/NAME"),
    Row("GatewayClass", "{controllerName: 'istio.io/a b'}", "is not a controller"),
    Row("GatewayClass", "{}", "spec.controllerName: is required"),
    Row(
        "GatewayClass",
        "{controllerName: a/b, parametersRef: {kind: ConfigMap, name: c}}",
        "parametersRef.group: is required",
    ),
    Row("GatewayClass", "{controllerName: a/b, description: '%s'}".replace("%s", "a" * 65), "has 65 characters"),
]

ROWS = [*GATEWAY_CLASSES, *PARENTS, *GATEWAYS, *HTTP_ROUTES, *SESSIONS, *GRPC_ROUTES, *STREAM_ROUTES, *REFERENCE_GRANTS]

NOTHING = [
    Row("HTTPRoute", "{hostnames: null, rules: null, parentRefs: null}"),
    Row("HTTPRoute", "null", "spec: must be a map of fields, not nothing"),
    _http("null", "rules[0]: must be a map of fields, not nothing"),
    Row("HTTPRoute", "{hostnames: [null]}", "hostnames[0]: must be text, not nothing"),
    _http("{matches: null, filters: null, timeouts: {request: null}}"),
    _http("{matches: [{path: null}]}"),
    _http("{x: null}", "there is no such field"),
    _filter("{type: CORS, cors: {}, urlRewrite: null}"),
    _filter("{type: CORS, cors: {}, foo: null}", "there is no such field"),
    _filter("{type: CORS, cors: null}", "cors"),
    _filter("{type: null, cors: {}}", "type: is required"),
    _with("tls: null, infrastructure: {labels: {a: null}, annotations: {'!': null}}"),
    _with("infrastructure: {labels: null}, addresses: null"),
    _with("tls: {frontend: {default: null}}", "default"),
    _with("allowedListeners: {namespaces: {from: null, selector: {matchLabels: {a: null, b: c}}}}"),
    Row("ReferenceGrant", "{from: null, to: null}", "spec.from"),
]
"""Fields that are there and hold nothing: as if they were not there, but for items of lists and unknown fields."""

METADATA: list[tuple[dict[str, Any], str]] = [
    ({"name": "a.b-c.1"}, ""),
    ({"name": "a" * 253}, ""),
    ({"name": "a" * 254}, "metadata.name"),
    *(({"name": name}, "metadata.name") for name in ("A", "a..b", "a.-b", "a-.b", "-a", "a.", "", "a_b", "a\n")),
    ({"name": "a", "namespace": "a.b"}, "metadata.namespace"),
    ({"name": "a", "namespace": "A"}, "metadata.namespace"),
    ({"name": "a", "labels": {"a": "", "a.b/C_d.e": "F_g.h-1", "x" * 63: "x" * 63}}, ""),
    ({"name": "a", "labels": {"x" * 253 + "/a": "b"}}, ""),
    ({"name": "a", "labels": {"x" * 254 + "/a": "b"}}, "is no key"),
    *(
        ({"name": "a", "labels": {key: "b"}}, "is no key")
        for key in ("a b", "", "/a", "a/", "A/b", "a/b/c", "-a", "x" * 64)
    ),
    *(
        ({"name": "a", "labels": {"a": label}}, "is no value of a label")
        for label in ("a b", "-a", "a-", "x" * 64, "a\n")
    ),
    ({"name": "a", "annotations": {"A.b/c": "any {} text\n"}}, ""),
    ({"name": "a", "annotations": {"a b": "c"}}, "is no key"),
    ({"name": "a", "annotations": {"a/b/c": "c"}}, "is no key"),
]
"""Metadata of an HTTPRoute, and what we say of it."""
