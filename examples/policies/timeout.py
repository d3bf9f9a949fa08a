"""Slow answers end: whatever takes longer than 15 s below /api/v1/books is answered with 504, everything else is untouched.

python examples/policies/timeout.py | mesh policies apply
"""

from mesh_policy import Timeout, Traffic, dump

POLICIES = Traffic(Timeout(service="book-store", path="/api/v1/books", after="15s")).expand()

if __name__ == "__main__":
    print(dump(POLICIES), end="")
