"""Names of secrets, as listeners and clusters have them (istiod's ``pilot/pkg/model/credentials``). Pure."""

import re
from dataclasses import dataclass
from enum import Enum

ROOTS_OF = "-cacert"
"""Ending of the name by which the roots of a secret are asked for."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
"""A name in Kubernetes; it is also the name of a folder, and never one with a way out of it."""


class SecretError(ValueError):
    """A secret that a proxy does not get; the message says why, and never quotes what is in one."""


class Scheme(Enum):
    """What kind of object has it, and by which right."""

    OBJECT = "kubernetes"
    GATEWAY = "kubernetes-gateway"
    CONFIG_MAP = "configmap"


@dataclass(frozen=True, slots=True)
class Reference:
    """A secret of a namespace; ``roots``: only the roots in it are asked for."""

    scheme: Scheme
    namespace: str
    name: str
    roots: bool

    @property
    def kind(self) -> str:
        """Of the object in Kubernetes."""
        return "ConfigMap" if self.scheme is Scheme.CONFIG_MAP else "Secret"

    @property
    def candidates(self) -> tuple[str, ...]:
        """Names of the object, the first one that is there counts (istiod's ``GetCaCert``)."""
        plain = self.name.removesuffix(ROOTS_OF)
        if self.scheme is Scheme.CONFIG_MAP:
            return (plain,)
        return (self.name, plain) if self.roots else (self.name,)


def parse(text: str, namespace: str) -> Reference:
    """``kubernetes://[NAMESPACE/]NAME``, ``kubernetes-gateway://NAMESPACE/NAME`` or ``configmap://NAMESPACE/NAME``, for a
    proxy of ``namespace``. Raises :class:`SecretError`."""
    word, separator, rest = text.partition("://")
    scheme = next((scheme for scheme in Scheme if scheme.value == word and separator), None)
    if scheme is None:
        raise SecretError("no secret has a name of this form")
    place, slash, name = rest.rpartition("/")
    if not slash:
        if scheme is not Scheme.OBJECT:
            raise SecretError("it names no namespace")
        place = namespace
    if not _NAME.fullmatch(place) or not _NAME.fullmatch(name):
        raise SecretError("it is no name of a namespace and of an object in it")
    return Reference(scheme, place, name, scheme is Scheme.CONFIG_MAP or name.endswith(ROOTS_OF))
