"""The one list of ways to choose a host."""

from mesh_api.config import Cluster, ClusterType, LbPolicy
from mesh_proxy.balancing.balancer import Balancer, Members, Random
from mesh_proxy.balancing.consistent import Consistent
from mesh_proxy.balancing.named import Named
from mesh_proxy.balancing.shared_load import SharedLoad
from mesh_proxy.balancing.subsets import Subset
from mesh_proxy.telemetry.stats import Counters


def balancer_of(config: Cluster, members: Members, random: Random, counters: Counters) -> Balancer:
    """The balancer that a cluster asks for."""
    if config.subsets is not None and config.subsets.selectors:
        return Subset(config, members, random, counters, plain_balancer)
    return plain_balancer(config, members, random, counters)


def plain_balancer(config: Cluster, members: Members, random: Random, counters: Counters) -> Balancer:
    """The same without subsets."""
    if config.type is ClusterType.FORWARD_PROXY:
        return Named(config, members, random, counters)
    if config.lb_policy in (LbPolicy.RING_HASH, LbPolicy.MAGLEV):
        return Consistent(config, members, random, counters)
    return SharedLoad(config, members, random, counters)


def same_kind(config: Cluster, before: Cluster) -> bool:
    """Whether a balancer of one cluster can go on under the settings of the other."""
    return config.lb_policy is before.lb_policy and (config.subsets is None or not config.subsets.selectors) == (
        before.subsets is None or not before.subsets.selectors
    )
