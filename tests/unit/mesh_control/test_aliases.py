"""Services of type ExternalName; what is compiled of them stands in a case, ``istiod/names-aliases.yaml``."""

from mesh_control.aliases import resolved
from mesh_control.services import Resolution, Service

HOST = "api.example.com"


def alias(name: str, target: str, namespace: str = "default") -> Service:
    return Service(name, namespace, (), resolution=Resolution.ALIAS, stands_for=target)


def test_over_however_many_others_to_whatever_has_the_name() -> None:
    near, far = alias("near", HOST), alias("far", "near", "other")
    services, aliases = resolved([Service(HOST, "default", ()), near, far])
    assert [service.aliases for service in services] == [(("near", "default"), ("far", "other"))]
    assert aliases == [near, far]


def test_round_in_a_circle_is_nowhere() -> None:
    (service,), _ = resolved([Service("a", "default", ()), alias("b", "c"), alias("c", "b"), alias("d", "d")])
    assert service.aliases == ()


def test_a_service_forgets_those_that_are_gone() -> None:
    (service,), _ = resolved([Service(HOST, "default", (), aliases=(("old", "default"),))])
    assert service.aliases == ()
