"""The demo workloads, as every environment that comes with the project places them."""

from stacks.environment import Service, ServicePort, Workload

SERVICES = (
    Service(name="store", ports=(ServicePort(port=8480),)),
    Service(name="order", ports=(ServicePort(port=8380),)),
    Service(name="warehouse", ports=(ServicePort(port=8280),)),
    Service(name="warranty", ports=(ServicePort(port=8180),)),
    Service(name="book-store", ports=(ServicePort(port=8080),)),
)


def workloads(second: str | None = None, third: str | None = None) -> tuple[Workload, ...]:
    """The workloads on two machines (which may be the same one), given by name; in a cluster on none."""
    return (
        Workload(name="store", service="store", program="store", machine=second, database=True),
        Workload(name="order", service="order", program="order", machine=second, database=True),
        Workload(name="warehouse", service="warehouse", program="warehouse", machine=third, database=True),
        Workload(name="warranty", service="warranty", program="warranty", machine=third, database=True),
        Workload(name="book-store-v1", service="book-store", program="book-store", machine=second),
        Workload(
            name="book-store-v2",
            service="book-store",
            program="book-store",
            machine=third,
            version="v2",
            settings={"VERSION": "v1.2-break-ping"},
        ),
    )
