"""Small meshes at random, whose parts often name each other, and sometimes miss."""

import random

from mesh_policy.yaml_text import written

NAMESPACES = ("default", "shop", "istio-system")
NAMES = ("a", "b")
HOSTS = ("a", "b", "gone", "a.shop.svc.cluster.local", "b.default.svc.cluster.local", "a.example.com", "*.example.com")
EXPORTS = (None, None, ["."], ["*"], ["shop"], [".", "infra"])


class Mesh:
    """Makes the objects of one mesh."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._objects: dict[tuple[str, str, str], dict[str, object]] = {}

    def text(self) -> str:
        """The documents."""
        for namespace in NAMESPACES[:2]:
            if self._odds(0.8):
                labels = self._one([{}, {"istio-injection": "enabled"}, {"istio.io/dataplane-mode": "ambient"}])
                self._add("v1", "Namespace", namespace, "", {}, labels=labels)
        for make in (self._service, self._pod, self._virtual, self._rule, self._entry, self._gateway):
            for _ in range(self._rng.randint(0, 3)):
                make()
        for make in (self._sidecar, self._authorization, self._telemetry):
            for _ in range(self._rng.randint(0, 2)):
                make()
        return "---\n".join(written(item) for item in self._objects.values())

    def _odds(self, share: float) -> bool:
        return self._rng.random() < share

    def _one(self, choices):  # type: ignore[no-untyped-def]
        return self._rng.choice(choices)

    def _add(self, version: str, kind: str, name: str, namespace: str, spec: object, **metadata: object) -> None:
        value = {"name": name} | ({"namespace": namespace} if namespace else {})
        value |= {key: item for key, item in metadata.items() if item}
        self._objects[kind, namespace, name] = {"apiVersion": version, "kind": kind, "metadata": value, "spec": spec}

    def _policy(self, kind: str, spec: object, group: str = "networking.istio.io") -> None:
        self._add(f"{group}/v1", kind, self._one((*NAMES, "c")), self._one(NAMESPACES), spec)

    def _service(self) -> None:
        names = ["http", "http-x", "tcp", "odd", "grpc-web"]
        numbers = self._rng.sample([80, 81, 3306], self._rng.randint(1, 2))
        ports = [{"name": f"{self._one(names)}-{n}", "port": n, "protocol": "TCP"} for n in numbers]
        for port in ports:
            if self._odds(0.3):
                port["targetPort"] = 8080
        annotations = {"networking.istio.io/exportTo": self._one([".", "*", "shop"])} if self._odds(0.2) else {}
        name = self._one(NAMES)
        spec = {"selector": {"app": name}, "ports": ports}
        self._add("v1", "Service", name, self._one(NAMESPACES[:2]), spec, annotations=annotations)

    def _pod(self) -> None:
        labels = {"app": self._one(NAMES), "version": self._one(["v1", "v2"])}
        labels |= {"istio": "ingressgateway"} if self._odds(0.2) else {}
        container = {"name": self._one(["istio-proxy", "app"]), "image": "x"}
        if self._odds(0.1):
            container["securityContext"] = {"runAsUser": 1337}
        annotations = {"ambient.istio.io/redirection": "enabled"} if self._odds(0.1) else {}
        spec = {"containers": [container]}
        self._add(
            "v1", "Pod", self._one(("p", "q", "r")), self._one(NAMESPACES), spec, labels=labels, annotations=annotations
        )

    def _exported(self, spec: dict[str, object]) -> dict[str, object]:
        exported = self._one(EXPORTS)
        return spec | ({"exportTo": exported} if exported else {})

    def _destination(self) -> dict[str, object]:
        found: dict[str, object] = {"host": self._one(HOSTS[:-1])}
        if self._odds(0.4):
            found["subset"] = self._one(["v1", "v2"])
        if self._odds(0.4):
            found["port"] = {"number": self._one([80, 81, 3306])}
        return found

    def _match(self) -> dict[str, object]:
        how = self._one(["prefix", "prefix", "exact"])
        match: dict[str, object] = {"uri": {how: self._one(["/a", "/ab", "/c"])}}
        if self._odds(0.2):
            match["method"] = {"exact": "GET"}
        return match

    def _virtual(self) -> None:
        rules = []
        for _ in range(self._rng.randint(1, 3)):
            rule: dict[str, object] = {"route": [{"destination": self._destination()}]}
            if self._odds(0.7):
                rule["match"] = [self._match() for _ in range(self._rng.randint(1, 2))]
            if self._odds(0.2):
                rule["mirror"] = self._destination()
            rules.append(rule)
        spec: dict[str, object] = {"hosts": [self._one(HOSTS)], "http": rules}
        if self._odds(0.5):
            spec["gateways"] = self._rng.sample(["mesh", "a", "shop/b", "default/a"], self._rng.randint(1, 2))
        self._policy("VirtualService", self._exported(spec))

    def _rule(self) -> None:
        spec: dict[str, object] = {"host": self._one(HOSTS)}
        if self._odds(0.7):
            spec["subsets"] = [{"name": v, "labels": {"version": v}} for v in ("v1", "v2")[: self._rng.randint(1, 2)]]
        if self._odds(0.3):
            spec["trafficPolicy"] = {"tls": {"mode": self._one(["SIMPLE", "ISTIO_MUTUAL", "DISABLE"])}}
        self._policy("DestinationRule", self._exported(spec))

    def _entry(self) -> None:
        port = {"number": self._one([80, 443]), "name": "p", "protocol": self._one(["HTTP", "TCP", "TLS", "http"])}
        host = self._one(["a.example.com", "b.example.com", "*.example.com", "a.shop.svc.cluster.local"])
        resolution = "NONE" if host.startswith("*") else self._one(["NONE", "DNS"])
        self._policy("ServiceEntry", self._exported({"hosts": [host], "ports": [port], "resolution": resolution}))

    def _gateway(self) -> None:
        selector = self._one([{"istio": "ingressgateway"}, {"app": "a"}, {"app": "gone"}])
        hosts = self._one([["*"], ["a.example.com"], ["*.example.com"], ["shop/a.example.com"], ["./*"]])
        port = {"number": self._one([80, 81]), "name": "http", "protocol": "HTTP"}
        self._policy("Gateway", {"selector": selector, "servers": [{"port": port, "hosts": hosts}]})

    def _sidecar(self) -> None:
        spec: dict[str, object] = {"egress": [{"hosts": self._one([["./*"], ["*/*"], ["./*", "shop/*"]])}]}
        if self._odds(0.5):
            spec["workloadSelector"] = {"labels": self._one([{"app": "a"}, {"version": "v1"}])}
        self._policy("Sidecar", spec)

    def _authorization(self) -> None:
        source = {"namespaces": [self._one(["default", "shop", "def*", "*-x"])]}
        spec: dict[str, object] = {"rules": [{"from": [{"source": source}]}]}
        if self._odds(0.5):
            spec["selector"] = {"matchLabels": {"app": self._one(NAMES)}}
        self._policy("AuthorizationPolicy", spec, "security.istio.io")

    def _telemetry(self) -> None:
        spec: dict[str, object] = {"accessLogging": [self._one([{}, {"providers": [{"name": "envoy"}]}])]}
        if self._odds(0.5):
            spec["selector"] = {"matchLabels": {"app": self._one(NAMES)}}
        self._policy("Telemetry", spec, "telemetry.istio.io")
