"""A root, an intermediate below it, and the files that Istio's secret ``cacerts`` has of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from mesh_control.ca import certificates, given, pem
from mesh_control.ca.certificates import Signer, make_root

NOW = 1_800_000_000.0


@dataclass(slots=True)
class Offline:
    """A root whose key is elsewhere, and intermediates that it signs."""

    root: Signer

    @classmethod
    def made(cls) -> "Offline":
        return cls(make_root("offline", pem.new_key(), NOW))

    def intermediate(
        self,
        issuer: Signer | None = None,
        *,
        seconds: float = 86400.0 * 365,
        authority: bool = True,
        path_length: int | None = None,
        sign: bool = True,
        key: Any = None,
        now: float = NOW,
    ) -> Signer:
        """One below the root, or below another."""
        issuer = issuer or self.root
        key = key or pem.new_key()
        made = (
            certificates._builder(key.public_key(), issuer.certificate.subject, now, now + seconds)
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "intermediate")]))
            .add_extension(
                x509.BasicConstraints(ca=authority, path_length=path_length if authority else None), critical=True
            )
            .add_extension(certificates._usage(key_cert_sign=sign, digital_signature=True), critical=True)
            .add_extension(certificates._issuer_identifier(issuer.certificate), critical=False)
            .sign(issuer.key, certificates._hash(issuer.key))
        )
        return Signer(made, key, (made, *issuer.chain), issuer.roots)


def write(folder: Path, signer: Signer, *, mode: int = 0o600) -> Path:
    """As Istio's documentation makes them: the chain ends with the root."""
    folder.mkdir(exist_ok=True)
    (folder / given.CERTIFICATE).write_text(pem.write_certificates([signer.certificate]))
    (folder / given.ROOTS).write_text(pem.write_certificates(signer.roots))
    (folder / given.CHAIN).write_text(pem.write_certificates([*signer.chain, *signer.roots]))
    (folder / given.KEY).write_bytes(pem.write_key(signer.key))
    (folder / given.KEY).chmod(mode)
    return folder
