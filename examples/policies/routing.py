"""A header decides: /api/v1 is served by v1, and who asks with `x-api-version: v2` is sent to /api/v2.

python examples/policies/routing.py | mesh policies apply
"""

from mesh_policy import Redirect, Route, Traffic, dump

POLICIES = Traffic(
    Route(service="book-store", path="/", version="v1"),
    Route(service="book-store", path="/api/v2", version="v2"),
    Redirect(service="book-store", path="/api/v1", to="/api/v2", headers={"x-api-version": "v2"}),
).expand()

if __name__ == "__main__":
    print(dump(POLICIES), end="")
