"""VirtualServices: hosts, destinations, weights, rules that are never reached."""

import pytest

from mesh_policy.analysis.context import Knowledge
from tests.unit.mesh_policy.analysis.cases import document, findings, pod, service, told, virtual

PLAIN = "{route: [{destination: {host: books}}]}"
SUBSETS = document(
    "DestinationRule",
    "books",
    "{host: books, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}",
)
_TO = "{destination: {host: books, subset: v1}, weight: %d}, {destination: {host: books, subset: v2}, weight: %d}"
CANARY = "{route: [" + _TO + "]}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (virtual(PLAIN), []),
        # Without any service nothing is known of services.
        (virtual("{route: [{destination: {host: boks}}]}"), []),
        (
            service() + virtual("{route: [{destination: {host: boks}}]}"),
            ["IST0101 VirtualService default/a spec.http[0].route[0].destination.host"],
        ),
        (
            service() + virtual("{mirrors: [{destination: {host: boks}}], route: [{destination: {host: books}}]}"),
            ["IST0101 VirtualService default/a spec.http[0].mirrors[0].destination.host"],
        ),
        (
            service() + virtual("{route: [{destination: {host: books, port: {number: 81}}}]}"),
            ["IST0101 VirtualService default/a spec.http[0].route[0].destination.port"],
        ),
        (
            service(ports="{name: http, port: 80}, {name: http-b, port: 81}") + virtual(PLAIN),
            ["IST0112 VirtualService default/a spec.http[0].route[0].destination.port"],
        ),
        (
            service() + virtual("{route: [{destination: {host: books, subset: v3}}]}") + SUBSETS,
            ["IST0101 VirtualService default/a spec.http[0].route[0].destination.subset"],
        ),
        # Another namespace's service is named in full, or not at all.
        (
            service(namespace="shop") + virtual(PLAIN),
            ["IST0101 VirtualService default/a spec.http[0].route[0].destination.host"],
        ),
        (service(namespace="shop") + virtual("{route: [{destination: {host: books.shop.svc.cluster.local}}]}"), []),
        (
            service(namespace="shop", more=', annotations: {networking.istio.io/exportTo: "."}')
            + virtual("{route: [{destination: {host: books.shop.svc.cluster.local}}]}"),
            ["IST0101 VirtualService default/a spec.http[0].route[0].destination.host"],
        ),
        # A host below a ServiceEntry's wildcard exists.
        (
            service()
            + document(
                "ServiceEntry", "s", "{hosts: ['*.example.com'], ports: [{number: 80, name: http, protocol: HTTP}]}"
            )
            + virtual("{route: [{destination: {host: a.example.com}}]}"),
            [],
        ),
    ],
)
def test_destinations(text: str, expected: list[str]) -> None:
    assert told(text, "IST0101", "IST0112") == expected


def test_subsets_of_a_rule_with_a_wildcard_count_where_it_is_exported_to() -> None:
    spec = "{host: '*.example.com', exportTo: [%s], subsets: [{name: v1, labels: {version: v1}}]}"
    text = virtual("{route: [{destination: {host: a.example.com, subset: v1}}]}") + document(
        "DestinationRule", "r", spec, "shop"
    )
    assert told(text % "'*'", "IST0101") == []
    assert told(text % "default", "IST0101") == []
    assert told(text % "'.'", "IST0101") != []


def test_what_is_not_valid_is_not_called_missing() -> None:
    broken = document("ServiceEntry", "s", "{hosts: [a.example.com], resolution: WRONG}")
    text = service() + broken + virtual("{route: [{destination: {host: a.example.com}}]}")
    assert told(text) == ["IST0106 ServiceEntry default/s spec.resolution"]


def test_of_one_mesh_the_files_may_say_everything() -> None:
    assert told(virtual(PLAIN), "IST0101", known=Knowledge(whole=True)) == [
        "IST0101 VirtualService default/a spec.http[0].route[0].destination.host"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (virtual(PLAIN) + virtual(PLAIN, "b"), ["default/a", "default/b"]),
        (virtual(PLAIN) + virtual(PLAIN, "b", "gateways: [edge], "), []),
        (virtual(PLAIN) + virtual(PLAIN, "b", "gateways: [edge, mesh], "), ["default/a", "default/b"]),
        (virtual(PLAIN, more='exportTo: ["."], ') + virtual(PLAIN, "b", "exportTo: [other], "), []),
        (virtual(PLAIN, more='exportTo: ["."], ') + virtual(PLAIN, "b"), ["default/a", "default/b"]),
        # A rule for one namespace meets a wildcard for all.
        (
            virtual(PLAIN, hosts="[a.example.com]", more='exportTo: ["."], ')
            + virtual(PLAIN, "b", hosts="['*.example.com']"),
            ["default/a", "default/b"],
        ),
        # Both for all, one more precise than the other: the precise one counts, which is defined.
        (virtual(PLAIN, hosts="[a.example.com]") + virtual(PLAIN, "b", hosts="['*.example.com']"), []),
        (virtual(PLAIN) + virtual(PLAIN, "b", namespace="other"), []),
    ],
)
def test_hosts_that_several_rule(text: str, expected: list[str]) -> None:
    assert [line.split()[2] for line in told(text, "IST0109")] == expected


@pytest.mark.parametrize(
    ("http", "expected"),
    [
        (f"{PLAIN}, {PLAIN}", ["IST0130 spec.http[1]"]),
        (
            "{match: [{uri: {prefix: /a}}], route: [{destination: {host: books}}]}, "
            "{match: [{uri: {prefix: /a}}], route: [{destination: {host: books}}]}",
            ["IST0130 spec.http[1]", "IST0131 spec.http[1].match[0]"],
        ),
        # Names are for people.
        (
            "{match: [{uri: {prefix: /a}, name: one}], route: [{destination: {host: books}}]}, "
            "{match: [{uri: {prefix: /a}, name: two}], route: [{destination: {host: books}}]}",
            ["IST0130 spec.http[1]", "IST0131 spec.http[1].match[0]"],
        ),
        (
            "{match: [{uri: {prefix: /}}], route: [{destination: {host: books}}]}, "
            "{match: [{uri: {prefix: /api}}], route: [{destination: {host: books}}]}",
            ["IST0131 spec.http[1].match[0]", "MESH0011 spec.http[1]"],
        ),
        (
            "{match: [{uri: {prefix: /api}}], route: [{destination: {host: books}}]}, "
            "{match: [{uri: {exact: /api/v1}, method: {exact: GET}}], route: [{destination: {host: books}}]}",
            ["IST0131 spec.http[1].match[0]", "MESH0011 spec.http[1]"],
        ),
        # The earlier match asks for more: the later one has its own requests.
        (
            "{match: [{uri: {prefix: /api}, headers: {a: {exact: b}}}], route: [{destination: {host: books}}]}, "
            "{match: [{uri: {prefix: /api/v1}}], route: [{destination: {host: books}}]}",
            [],
        ),
        (
            "{match: [{uri: {prefix: /api}, method: {exact: GET}}], route: [{destination: {host: books}}]}, "
            "{match: [{uri: {prefix: /api}, method: {exact: POST}}], route: [{destination: {host: books}}]}",
            [],
        ),
        # Who excepts less matches more.
        (
            "{match: [{uri: {prefix: /a}}], route: [{destination: {host: books}}]}, "
            "{match: [{uri: {prefix: /ab}, withoutHeaders: {x: {}}}], route: [{destination: {host: books}}]}",
            ["IST0131 spec.http[1].match[0]", "MESH0011 spec.http[1]"],
        ),
        (
            "{match: [{uri: {prefix: /a}, withoutHeaders: {x: {}}}], route: [{destination: {host: books}}]}, "
            "{match: [{uri: {prefix: /ab}}], route: [{destination: {host: books}}]}",
            [],
        ),
        # One of two matches is left.
        (
            "{match: [{uri: {prefix: /a}}], route: [{destination: {host: books}}]}, "
            "{match: [{uri: {prefix: /ab}}, {uri: {prefix: /c}}], route: [{destination: {host: books}}]}",
            ["IST0131 spec.http[1].match[0]"],
        ),
        (
            "{match: [{uri: {prefix: /A}, ignoreUriCase: true}], route: [{destination: {host: books}}]}, "
            "{match: [{uri: {prefix: /abc}}], route: [{destination: {host: books}}]}",
            ["IST0131 spec.http[1].match[0]", "MESH0011 spec.http[1]"],
        ),
        (
            "{match: [{uri: {prefix: /A}}], route: [{destination: {host: books}}]}, "
            "{match: [{uri: {prefix: /abc}}], route: [{destination: {host: books}}]}",
            [],
        ),
        (
            "{match: [{headers: {a: {}}}], route: [{destination: {host: books}}]}, "
            "{match: [{headers: {a: {exact: b}}, uri: {prefix: /x}}], route: [{destination: {host: books}}]}",
            ["IST0131 spec.http[1].match[0]", "MESH0011 spec.http[1]"],
        ),
        (
            "{match: [{uri: {prefix: /a}, port: 80}], route: [{destination: {host: books}}]}, "
            "{match: [{uri: {prefix: /ab}}], route: [{destination: {host: books}}]}",
            [],
        ),
        (
            "{match: [{uri: {prefix: /a}, sourceLabels: {app: x}}], route: [{destination: {host: books}}]}, "
            "{match: [{uri: {prefix: /ab}, sourceLabels: {app: x, version: v1}}], route: [{destination: {host: books}}]}",
            ["IST0131 spec.http[1].match[0]", "MESH0011 spec.http[1]"],
        ),
    ],
)
def test_rules_that_are_never_reached(http: str, expected: list[str]) -> None:
    codes = ("IST0130", "IST0131", "MESH0011")
    assert sorted(f"{f.code} {f.field}" for f in findings(virtual(http)) if f.code in codes) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (virtual(CANARY % (90, 10)), []),
        (virtual(CANARY % (1, 2)), ["MESH0002 spec.http[0].route"]),
        (
            virtual("{route: [{destination: {host: a}, weight: 100}, {destination: {host: b}}]}"),
            ["MESH0024 spec.http[0].route[1]"],
        ),
        (virtual("{route: [{destination: {host: books}}], mirror: {host: books}}"), ["MESH0018 spec.http[0].mirror"]),
        (virtual("{route: [{destination: {host: books}}], mirror: {host: other}}"), []),
        (
            virtual("{route: [{destination: {host: books, subset: v1}}], mirror: {host: books, subset: v2}}"),
            [],
        ),
        (
            virtual("{route: [{destination: {host: books}}], timeout: 2s, retries: {attempts: 3, perTryTimeout: 2s}}"),
            ["MESH0017 spec.http[0].retries.perTryTimeout"],
        ),
        (
            virtual(
                "{route: [{destination: {host: books}}], timeout: 2s, retries: {attempts: 3, perTryTimeout: 500ms}}"
            ),
            [],
        ),
        (service(ports="{name: tcp, port: 80}") + virtual(PLAIN), ["MESH0019 spec.hosts[0]"]),
        (service(ports="{name: tcp, port: 80}, {name: http, port: 81}") + virtual(PLAIN), []),
        (service(ports="{name: unknown, port: 80}") + virtual(PLAIN), []),
    ],
)
def test_settings_that_contradict_each_other(text: str, expected: list[str]) -> None:
    assert [f"{f.code} {f.field}" for f in findings(text) if f.code.startswith("MESH")] == expected


def test_a_canary_without_its_version() -> None:
    text = service() + SUBSETS + pod(version="v1")
    assert told(text + virtual(CANARY % (90, 10)), "MESH0021") == [
        "MESH0021 VirtualService default/a spec.http[0].route[1].destination.subset"
    ]
    assert told(text + virtual(CANARY % (100, 0)), "MESH0021") == []
    assert told(text + pod(version="v2") + virtual(CANARY % (90, 10)), "MESH0021", "IST0173") == []


def test_a_gateways_own_rule_passes_the_subsets_by() -> None:
    text = SUBSETS + virtual(CANARY % (50, 50)) + virtual(PLAIN, "edge", "gateways: [edge], ", "[example.com]")
    assert told(text, "IST0140") == ["IST0140 VirtualService default/edge spec.http[0].route[0].destination"]
