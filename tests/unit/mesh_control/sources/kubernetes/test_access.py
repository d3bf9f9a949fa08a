"""The way to an API server: of a kubeconfig file, and as a pod finds it."""

import base64
import datetime
import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mesh_control.sources.kubernetes.access import AccessError, from_kubeconfig, in_cluster


def certificate() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=36500))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return made.public_bytes(serialization.Encoding.PEM), key.private_bytes(serialization.Encoding.PEM, *form)


def kubeconfig(folder: Path, cluster: dict[str, Any], user: dict[str, Any], **more: Any) -> Path:
    context = {"cluster": "c", "user": "u", "namespace": "shop"}
    value = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": context}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump(value | more), encoding="utf-8")
    return path


def test_the_way_to_the_server_may_be_a_proxy(tmp_path: Path) -> None:
    cluster = {"server": "http://a", "proxy-url": "http://127.0.0.1:16443"}
    assert from_kubeconfig(kubeconfig(tmp_path, cluster, {})).proxy == "http://127.0.0.1:16443"
    assert from_kubeconfig(kubeconfig(tmp_path, {"server": "http://a"}, {})).proxy == ""
    with pytest.raises(AccessError, match=r"cluster\.proxy-url: is not taken; of proxies there is http://HOST:PORT"):
        from_kubeconfig(kubeconfig(tmp_path, cluster | {"proxy-url": "socks5://127.0.0.1:1"}, {}))


def test_certificates_in_the_file_or_beside_it(tmp_path: Path) -> None:
    authority, key = certificate()
    (tmp_path / "ca.pem").write_bytes(authority)
    (tmp_path / "key.pem").write_bytes(key)
    data = base64.b64encode(authority).decode()
    for cluster, user in (
        ({"certificate-authority-data": data}, {"client-certificate-data": data, "client-key": "key.pem"}),
        ({"certificate-authority": "ca.pem"}, {"client-certificate": "ca.pem", "client-key": "key.pem"}),
    ):
        found = from_kubeconfig(kubeconfig(tmp_path, {"server": "https://127.0.0.1:6443/", **cluster}, user))
        assert (found.url, found.namespace, found.headers()) == ("https://127.0.0.1:6443", "shop", {})
        assert found.tls is not None
        assert found.tls.verify_mode is ssl.CERT_REQUIRED
        assert len(found.tls.get_ca_certs()) == 1


def test_a_token_and_a_file_of_one_that_is_read_anew(tmp_path: Path) -> None:
    plain = {"server": "http://127.0.0.1:1"}
    assert from_kubeconfig(kubeconfig(tmp_path, plain, {"token": "t"})).headers() == {"Authorization": "Bearer t"}
    found = from_kubeconfig(kubeconfig(tmp_path, plain, {"tokenFile": "token"}))
    for token in ("first", "second"):
        (tmp_path / "token").write_text(f"{token}\n", encoding="utf-8")
        assert found.headers() == {"Authorization": f"Bearer {token}"}
    (tmp_path / "token").unlink()
    with pytest.raises(AccessError, match="token: cannot be read"):
        found.headers()


@pytest.mark.parametrize(
    ("cluster", "user", "more", "message"),
    [
        ({}, {}, {}, "server: is required"),
        ({"server": "https://a", "insecure-skip-tls-verify": True}, {}, {}, "insecure-skip-tls-verify: is not taken"),
        (
            {"server": "https://a", "certificate-authority-data": "?"},
            {},
            {},
            "certificate-authority-data: is not base64",
        ),
        ({"server": "https://a", "certificate-authority": "none.pem"}, {}, {}, "none.pem"),
        ({"server": "https://a"}, {"exec": {"command": "x"}}, {}, "exec: is not taken"),
        ({"server": "https://a"}, {}, {"current-context": "y"}, "contexts: there is none of the name 'y'"),
        ({"server": "https://a"}, {}, {"clusters": "no"}, "clusters: must be a list"),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any], more: dict[str, Any], message: str
) -> None:
    with pytest.raises(AccessError) as error:
        from_kubeconfig(kubeconfig(tmp_path, cluster, user, **more))
    assert message in str(error.value)


def test_in_a_pod_and_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(certificate()[0])
    (tmp_path / "namespace").write_text("mesh", encoding="utf-8")
    (tmp_path / "token").write_text("t", encoding="utf-8")
    found = in_cluster({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}, tmp_path)
    assert (found.url, found.namespace, found.headers()) == (
        "https://[fd00::1]:443",
        "mesh",
        {"Authorization": "Bearer t"},
    )
    with pytest.raises(AccessError, match=r"kubernetes\.kubeconfig"):
        in_cluster({}, tmp_path)
    with pytest.raises(AccessError, match="the service account cannot be used"):
        in_cluster({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path / "none")
