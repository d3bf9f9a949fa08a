"""DestinationRules: whose counts, and what they make of a cluster."""

from mesh_api.config import CircuitBreakerThresholds, Cluster, ClusterType, LbPolicy
from mesh_api.config.clusters import UNLIMITED
from tests.unit.mesh_control import worlds
from tests.unit.mesh_control.worlds import ORDER, ServicePort, compiled, service

HEAD = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"


def rule(spec: str, name: str = "order", namespace: str = "default") -> str:
    return f"{HEAD}metadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"


def cluster(text: str = "", subset: str = "", **more: object) -> Cluster:
    found: Cluster = worlds.by_name(compiled(text, **more).clusters)[f"outbound|8380|{subset}|{ORDER}"]
    return found


def connections(text: str, subset: str = "", **more: object) -> int:
    thresholds = cluster(text, subset, **more).thresholds
    assert thresholds is not None
    return thresholds.max_connections


def limited(number: int) -> str:
    return f"trafficPolicy: {{connectionPool: {{tcp: {{maxConnections: {number}}}}}}}"


def test_without_rules_there_are_istios_defaults() -> None:
    plain = cluster()
    assert plain.thresholds == CircuitBreakerThresholds(UNLIMITED, UNLIMITED, UNLIMITED, UNLIMITED)
    assert (plain.connect_timeout, plain.lb_policy, plain.outlier_detection) == (10.0, LbPolicy.LEAST_REQUEST, None)
    assert plain.healthy_panic_threshold == 0.0


def test_settings_of_a_port_replace_the_general_ones_as_a_whole() -> None:
    found = cluster(
        rule(
            "{host: order, trafficPolicy: {loadBalancer: {simple: RANDOM}, connectionPool: {tcp: {maxConnections: 1}},"
            " portLevelSettings: [{port: {number: 8380}, loadBalancer: {simple: ROUND_ROBIN}}]}}"
        )
    )
    assert found.lb_policy is LbPolicy.ROUND_ROBIN
    assert found.thresholds == CircuitBreakerThresholds(UNLIMITED, UNLIMITED, UNLIMITED, UNLIMITED)


def test_a_subset_inherits_field_by_field() -> None:
    text = rule(
        "{host: order, trafficPolicy: {loadBalancer: {simple: RANDOM}, connectionPool: {tcp: {maxConnections: 7}}},"
        " subsets: [{name: v1, labels: {version: v1}, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}]}"
    )
    assert cluster(text).lb_policy is LbPolicy.RANDOM
    assert cluster(text, "v1").lb_policy is LbPolicy.ROUND_ROBIN
    assert connections(text, "v1") == 7


def test_the_clients_namespace_goes_before_the_services_and_that_before_the_root() -> None:
    root = rule(f"{{host: {ORDER}, {limited(3)}}}", namespace="istio-system")
    own = rule(f"{{host: order, {limited(2)}}}")
    client = worlds.Node("sidecar~10.0.0.3~web.front~front.svc.cluster.local")
    fronts = rule(f"{{host: {ORDER}, {limited(1)}}}", namespace="front")
    assert connections(root, node=client) == 3
    assert connections(f"{root}---\n{own}", node=client) == 2
    assert connections(f"{root}---\n{own}---\n{fronts}", node=client) == 1
    assert connections(f"{root}---\n{own}---\n{fronts}") == 2


def test_a_name_goes_before_a_wildcard_and_a_long_wildcard_before_a_short_one() -> None:
    short = rule(f"{{host: '*.cluster.local', {limited(1)}}}", "a")
    long = rule(f"{{host: '*.default.svc.cluster.local', {limited(2)}}}", "b")
    named = rule(f"{{host: order, {limited(3)}}}", "c")
    assert connections(short) == 1
    assert connections(f"{short}---\n{long}") == 2
    assert connections(f"{short}---\n{long}---\n{named}") == 3


def test_rules_for_one_host_are_merged() -> None:
    one = rule("{host: order, subsets: [{name: v1, labels: {version: v1}}]}", "a")
    subsets = "subsets: [{name: v1, labels: {version: x}}, {name: v2, labels: {version: v2}}]"
    two = rule(f"{{host: order, {limited(5)}, {subsets}}}", "b")
    config = compiled(f"{one}---\n{two}")
    assert connections(f"{one}---\n{two}", "v2") == 5
    hosts = {a.cluster_name.split("|")[2]: a for a in config.endpoints if ORDER in a.cluster_name}
    assert [str(e.address) for e in hosts["v1"].localities[0].endpoints] == ["10.0.0.1:8380"]  # of rule a


def test_a_rule_that_is_not_exported_or_not_meant_for_this_workload_does_not_count() -> None:
    hidden = rule(f"{{host: {ORDER}, exportTo: ['.'], {limited(1)}}}", namespace="istio-system")
    meant = rule(f"{{host: order, workloadSelector: {{matchLabels: {{app: store}}}}, {limited(2)}}}")
    assert connections(hidden) == UNLIMITED
    assert connections(meant) == 2
    assert connections(meant, node=worlds.ORDER_V1) == UNLIMITED


def test_outlier_detection_has_istios_defaults_and_zero_switches_off() -> None:
    found = cluster(rule("{host: order, trafficPolicy: {outlierDetection: {}}}")).outlier_detection
    assert found is not None
    assert (found.consecutive_5xx, found.interval, found.base_ejection_time, found.max_ejection_percent) == (
        5,
        10,
        30,
        10,
    )
    assert found.enforcing_consecutive_gateway_failure == 0
    off = cluster(rule("{host: order, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 0}}}")).outlier_detection
    assert off is not None
    assert off.enforcing_consecutive_5xx == 0


def test_a_cluster_that_passes_through_has_no_endpoints_to_ask_for() -> None:
    config = compiled(rule("{host: order, trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}}"))
    assert worlds.by_name(config.clusters)[f"outbound|8380||{ORDER}"].type is ClusterType.ORIGINAL_DST
    assert not any(ORDER in assignment.cluster_name for assignment in config.endpoints)


def test_the_idle_time_of_tcp_is_the_tcp_proxys() -> None:
    text = rule("{host: postgres, trafficPolicy: {connectionPool: {tcp: {idleTimeout: 5m}}}}")
    listener = worlds.by_name(compiled(text).listeners)["0.0.0.0_5432"]
    assert listener.filter_chains[0].filter.idle_timeout == 300.0


def test_endpoints_carry_the_subsets_labels_and_say_who_they_are() -> None:
    text = rule("{host: order, subsets: [{name: v2, labels: {version: v2}}, {name: v3, labels: {version: v3}}]}")
    assignments = {a.cluster_name.split("|")[2]: a for a in compiled(text).endpoints if ORDER in a.cluster_name}
    assert assignments["v3"].localities == ()
    (endpoint,) = assignments["v2"].localities[0].endpoints
    assert str(endpoint.address) == "10.0.0.2:8380"
    assert endpoint.metadata == (("workload", "order-v2;default;order;v2;Kubernetes"),)


def test_a_workloads_own_port_goes_before_the_services_target() -> None:
    order = service("order", ServicePort("http", 80, worlds.HTTP, 8080))
    hosts = (
        worlds.Workload("a", "default", "10.0.0.1", {"app": "order"}, ports={"http": 9090}),
        worlds.Workload("b", "default", "10.0.0.2", {"app": "order"}),
    )
    (assignment,) = compiled(services=(order,), workloads=hosts).endpoints
    assert [str(e.address) for e in assignment.localities[0].endpoints] == ["10.0.0.1:9090", "10.0.0.2:8080"]


def test_settings_of_a_subset_for_a_port_inherit_nothing() -> None:
    text = rule(
        "{host: order, trafficPolicy: {loadBalancer: {simple: RANDOM}, outlierDetection: {interval: 1s},"
        " connectionPool: {tcp: {maxConnections: 7}}}, subsets: [{name: v1, labels: {version: v1},"
        " trafficPolicy: {loadBalancer: {simple: RANDOM},"
        " portLevelSettings: [{port: {number: 8380}, connectionPool: {tcp: {maxConnections: 8}}}]}}]}"
    )
    found = cluster(text, "v1")
    assert (found.lb_policy, found.outlier_detection) == (LbPolicy.LEAST_REQUEST, None)
    assert connections(text, "v1") == 8


def test_zero_is_no_limit_as_istio_reads_it() -> None:
    text = rule(
        "{host: order, trafficPolicy: {connectionPool: {tcp: {maxConnections: 0},"
        " http: {http1MaxPendingRequests: 0, http2MaxRequests: 0, maxRetries: 0, maxConcurrentStreams: 0}}}}"
    )
    assert cluster(text).thresholds == cluster().thresholds
    assert cluster(text).http.max_concurrent_streams is None


def test_a_rule_that_selects_the_workload_counts_alone() -> None:
    general = rule(f"{{host: order, {limited(1)}, subsets: [{{name: v1, labels: {{version: v1}}}}]}}", "a")
    mine = rule(f"{{host: order, {limited(2)}, workloadSelector: {{matchLabels: {{app: store}}}}}}", "b")
    others = rule(f"{{host: order, {limited(3)}, workloadSelector: {{matchLabels: {{app: x}}}}}}", "c")
    config = compiled(f"{general}---\n{mine}---\n{others}")
    assert connections(f"{general}---\n{mine}---\n{others}") == 2
    assert f"outbound|8380|v1|{ORDER}" not in worlds.by_name(config.clusters)
    assert connections(f"{general}---\n{others}") == 1


def test_dns_round_robin_takes_one_address_at_a_time() -> None:
    entry = (
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: web}\n"
        "spec: {hosts: [web.example], resolution: DNS_ROUND_ROBIN, ports: [{number: 80, name: http}]}\n---\n"
        + rule("{host: web.example, subsets: [{name: none, labels: {a: b}}]}")
    )
    clusters = worlds.by_name(compiled(entry).clusters)
    assert clusters["outbound|80||web.example"].type is ClusterType.LOGICAL_DNS
    assert "outbound|80|none|web.example" not in clusters  # without a name there is nothing to ask for
