"""Which Secrets policies name."""

import pytest

from mesh_control.services import Workload
from mesh_control.sources.kubernetes.secrets import collections, config_maps, wanted
from mesh_policy import load_documents

EDGE = Workload("edge-0", "edge", "10.0.0.1", {"app": "edge"})
OTHER = Workload("other-0", "other", "10.0.0.2", {"app": "other"})


def named(text: str) -> set[str]:
    return {f"{namespace}/{name}" for namespace, name in wanted(load_documents(text, "test"), [EDGE, OTHER])}


def gateway(tls: str) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: a, namespace: policies}}
spec:
  selector: {{app: edge}}
  servers: [{{port: {{number: 443, name: https, protocol: HTTPS}}, hosts: ["*"], tls: {tls}}}]
"""


@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        ("{mode: SIMPLE, credentialName: shop}", {"edge/shop", "edge/shop-cacert"}),
        ("{mode: MUTUAL, credentialName: shop-cacert}", {"edge/shop", "edge/shop-cacert"}),
        ("{mode: SIMPLE, credentialName: kubernetes://shop}", {"edge/shop", "edge/shop-cacert"}),
        ("{mode: SIMPLE, credentialName: 'kubernetes-gateway://far/shop'}", {"far/shop", "far/shop-cacert"}),
        ("{mode: SIMPLE, credentialName: 'builtin://'}", set()),
        ("{mode: ISTIO_MUTUAL}", set()),
        ("{mode: SIMPLE, serverCertificate: /a.pem, privateKey: /b.pem}", set()),
    ],
)
def test_of_a_gateway_those_beside_the_pods_that_it_selects(tls: str, expected: set[str]) -> None:
    assert named(gateway(tls)) == expected


def test_of_a_destination_rule_those_in_its_own_namespace() -> None:
    rule = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a, namespace: policies}
spec:
  host: api.example.com
  trafficPolicy: {tls: {mode: SIMPLE, credentialName: one}}
  subsets:
    - name: v1
      labels: {a: b}
      trafficPolicy: {portLevelSettings: [{port: {number: 1}, tls: {mode: MUTUAL, credentialName: two}}]}
"""
    assert named(rule) == {"policies/one", "policies/one-cacert", "policies/two", "policies/two-cacert"}


def test_of_a_gateway_of_the_gateway_api_those_that_its_listeners_refer_to() -> None:
    text = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: a, namespace: policies}
spec:
  gatewayClassName: istio
  listeners:
    - name: https
      port: 443
      protocol: HTTPS
      tls: {certificateRefs: [{name: own}, {name: theirs, namespace: far}]}
    - {name: http, port: 80, protocol: HTTP}
"""
    assert named(text) == {"policies/own", "far/theirs"}


def test_each_is_a_collection_of_its_own() -> None:
    (one,) = collections([("edge", "shop")])
    assert (one.path, one.fields) == ("/api/v1/namespaces/edge/secrets", "metadata.name=shop")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("configmap://policies/roots", {("policies", "roots")}),
        ("configmap://policies/roots-cacert", {("policies", "roots")}),
        ("kubernetes://policies/roots", set()),
        ("roots", set()),
    ],
)
def test_of_config_maps_those_that_are_named_with_their_namespace(name: str, expected: set[tuple[str, str]]) -> None:
    rule = f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: a, namespace: policies}}
spec: {{host: api.example.com, trafficPolicy: {{tls: {{mode: SIMPLE, credentialName: "{name}"}}}}}}
"""
    assert config_maps(load_documents(rule, "test")) == expected


def test_a_gateway_of_the_gateway_api_checks_its_clients_with_what_it_refers_to() -> None:
    text = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: a, namespace: policies}
spec:
  gatewayClassName: istio
  listeners: [{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: edge}]}}]
  tls:
    frontend:
      default: {validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: roots}]}}
      perPort:
        - port: 8443
          tls: {validation: {caCertificateRefs: [{group: "", kind: Secret, name: others, namespace: far}]}}
"""
    assert config_maps(load_documents(text, "test")) == {("policies", "roots")}
    assert named(text) == {"policies/edge", "far/others"}
