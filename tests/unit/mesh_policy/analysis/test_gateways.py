"""Gateways: workloads, ports, secrets, conflicts, and who names them."""

import base64
from datetime import UTC, datetime
from functools import cache
from subprocess import run

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_policy.analysis.certificates import problem_of, validity
from mesh_policy.analysis.context import Knowledge
from mesh_policy.objects import Meta, Secret
from tests.unit.mesh_policy.analysis.cases import document, findings, told, virtual

SERVER = "{port: {number: %d, name: http, protocol: HTTP}, hosts: ['%s']}"
POD = document("Pod", "edge", "{containers: []}", more=", labels: {istio: edge}")
SERVICE = document("Service", "edge", "{selector: {istio: edge}, ports: [{name: http, port: 80, targetPort: 8080}]}")
PLAIN = "{route: [{destination: {host: books}}]}"


def gateway(
    name: str = "edge", host: str = "*", port: int = 80, labels: str = "istio: edge", namespace: str = "default"
) -> str:
    return document("Gateway", name, f"{{selector: {{{labels}}}, servers: [{SERVER % (port, host)}]}}", namespace)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (gateway(), []),
        (gateway(labels="istio: gone") + POD, ["IST0101 spec.selector"]),
        (gateway() + POD + SERVICE, []),
        (gateway(port=8080) + POD + SERVICE, []),
        (gateway(port=81) + POD + SERVICE, ["IST0162 spec.servers[0].port.number"]),
        # The gateway of Istio's installation needs no file.
        (gateway(labels="istio: ingressgateway") + POD, []),
        (gateway() + gateway("other") + POD + SERVICE, ["IST0145 spec.servers[0]", "IST0145 spec.servers[0]"]),
        (gateway(host="a.example.com") + gateway("other", "b.example.com") + POD + SERVICE, []),
        (gateway() + gateway("other", port=8080) + POD + SERVICE, []),
        (gateway() + gateway("other", labels="app: other"), []),
    ],
)
def test_gateways(text: str, expected: list[str]) -> None:
    assert [f"{f.code} {f.field}" for f in findings(text) if f.kind == "Gateway"] == expected


@pytest.mark.parametrize(
    ("gateways", "named", "expected"),
    [
        ("", "edge", ["IST0101 spec.gateways[0]", "IST0132 spec.gateways[0]"]),
        (gateway(), "edge", []),
        (gateway(), "other/edge", ["IST0101 spec.gateways[0]", "IST0132 spec.gateways[0]"]),
        (gateway(host="a.example.com"), "edge", ["IST0132 spec.gateways[0]"]),
        (gateway(host="'*.example.com'".strip("'")), "edge", []),
        (gateway(host="other/*"), "edge", ["IST0132 spec.gateways[0]"]),
        (gateway(host="./*"), "edge", []),
        (gateway(host="default/*"), "edge", []),
        # A gateway that is there and not valid is told once.
        (document("Gateway", "edge", "{servers: []}"), "edge", []),
    ],
)
def test_gateways_that_are_named(gateways: str, named: str, expected: list[str]) -> None:
    text = gateways + virtual(PLAIN, more=f"gateways: [{named}], ", hosts="[b.example.com]")
    assert [f"{f.code} {f.field}" for f in findings(text) if f.kind == "VirtualService"] == expected


@cache
def certificate() -> tuple[str, str]:
    """A certificate and its key, made by OpenSSL: valid for ten days."""
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=a -days 10 -keyout - -out -"
    )
    text = run(command.split(), check=True, capture_output=True, text=True).stdout
    begin = text.index("-----BEGIN CERTIFICATE")
    end = text.index("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----\n")
    return text[begin:end], text[:begin] + text[end:]


def secret(cert: str, key: str, name: str = "web", cert_key: str = "tls.crt") -> str:
    data = {cert_key: cert, "tls.key" if cert_key == "tls.crt" else "key": key}
    lines = "".join(f"  {k}: {base64.b64encode(v.encode()).decode()}\n" for k, v in data.items())
    return f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: default}}\ndata:\n{lines}---\n"


SECURE = document(
    "Gateway",
    "edge",
    "{selector: {istio: edge}, servers: [{port: {number: 80, name: https, protocol: HTTPS}, hosts: ['*'], "
    "tls: {mode: SIMPLE, credentialName: web}}]}",
)


def test_secrets_of_gateways() -> None:
    now = Knowledge(now=datetime.now(UTC))
    cert, key = certificate()
    text = SECURE + POD + SERVICE
    assert told(text, "IST0101", "IST0161", known=now) == []  # no secret is known at all
    path = "Gateway default/edge spec.servers[0].tls.credentialName"
    assert told(text + secret(cert, key, "other"), "IST0101", known=now) == [f"IST0101 {path}"]
    assert told(text + secret(cert, key), "IST0101", "IST0161", known=now) == []
    assert told(text + secret(cert, key, cert_key="cert"), "IST0161", known=now) == []
    assert told(text + secret(cert, ""), "IST0161", known=now) == [f"IST0161 {path}"]
    assert told(text + secret("no certificate", key), "IST0161", known=now) == [f"IST0161 {path}"]
    later = Knowledge(now=datetime(2200, 1, 1, tzinfo=UTC))
    assert told(text + secret(cert, key), "IST0161", known=later) == [f"IST0161 {path}"]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_certificate_or_none(data: bytes) -> None:
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(data) + b"\n-----END CERTIFICATE-----\n"
    assert isinstance(
        problem_of(Secret(Meta("a"), {"tls.crt": pem, "tls.key": b"x"}), datetime(2026, 1, 1, tzinfo=UTC)), str
    )


def test_a_certificate_that_is_cut_off() -> None:
    body = certificate()[0].split("-----")[2]
    whole = base64.b64decode(body)
    begin, end = validity(whole)
    assert (end - begin).days == 10
    for length in range(0, len(whole) - 100, 7):
        with pytest.raises((ValueError, IndexError, StopIteration)):
            validity(whole[:length])


def test_one_certificate_in_two_gateways() -> None:
    other = SECURE.replace("name: edge", "name: other")
    assert told(SECURE + other, "IST0138") == [
        "IST0138 Gateway default/edge spec.servers[0].tls",
        "IST0138 Gateway default/other spec.servers[0].tls",
    ]
    assert told(SECURE + other.replace("credentialName: web", "credentialName: other"), "IST0138") == []
    assert told(SECURE, "IST0138") == []
