"""What a cluster's objects say to the Gateway API."""

from base64 import b64encode

from mesh_control.sources.kubernetes.surroundings import surroundings
from mesh_policy.gateway_api.attachment import Reference

CERTIFICATE, KEY = "-----BEGIN CERTIFICATE-----\n", "-----BEGIN PRIVATE KEY-----\n"


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def test_namespaces_have_labels() -> None:
    found = surroundings([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "labels": {"b": "c"}}}])
    assert found.namespaces == {"a": {"b": "c"}}


def test_secrets_with_a_certificate_and_its_key_can_be_shown() -> None:
    def secret(name: str, **data: str) -> dict[str, object]:
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}

    whole = secret("whole", **{"tls.crt": encoded(CERTIFICATE), "tls.key": encoded(KEY)})
    half = secret("half", **{"tls.crt": encoded(CERTIFICATE)})
    wrong = secret("wrong", cert=encoded("text"), key=encoded(KEY))
    assert surroundings([whole, half, wrong]).certificates == {"default/whole"}


def test_roots_stand_in_config_maps_and_secrets() -> None:
    plain = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "b"},
        "data": {"ca.crt": CERTIFICATE},
    }
    assert surroundings([plain]).authorities == {Reference("", "ConfigMap", "b", "a")}


def test_what_is_none_of_these_is_passed_over() -> None:
    values = [{}, {"apiVersion": "v1", "kind": "Secret", "metadata": None}, {"apiVersion": "apps/v1", "kind": "Secret"}]
    found = surroundings(values)
    assert (found.certificates, found.authorities, found.namespaces) == (frozenset(), frozenset(), {})
