"""A release in two steps that takes itself back: 5 %, then half of the traffic, then all of it.

Each user stays on one version while the weights move. More than 10 % errors within five seconds end the release.

    mesh canary start examples/policies/canary.py --wait
"""

from mesh_policy import CanaryRelease, Timeout, Traffic, dump
from mesh_policy.releases import Cookie, ErrorRate, Latency, Weight

RELEASE = Traffic(
    CanaryRelease(
        service="book-store",
        stable="v1",
        candidate="v2",
        steps=[Weight(5, hold="2m"), Weight(50, hold="5m")],
        abort=[ErrorRate("> 10%", window="5s"), Latency("> 500ms", window="30s", quantile=0.95)],
        sticky=Cookie("book-store-release", ttl="24h"),
    ),
    Timeout(service="book-store", path="/api/v1/books", after="15s"),
)
POLICIES = RELEASE.expand()
"""What is in force before the first step: everybody has v1."""

if __name__ == "__main__":
    print(dump(POLICIES), end="")
