"""A host that fails ten times in a row is left alone for 30 s; with no other host, callers get 503 at once.

python examples/policies/circuit_breaker.py | mesh policies apply
"""

from mesh_policy import CircuitBreaker, Traffic, dump

POLICIES = Traffic(CircuitBreaker(service="book-store", errors=10, ejection="30s")).expand()

if __name__ == "__main__":
    print(dump(POLICIES), end="")
