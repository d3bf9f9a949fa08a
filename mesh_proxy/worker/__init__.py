"""The worker: moves the traffic. One process for each core, its own event loop, no gRPC, no protobuf, no asyncio.

``process`` talks to the supervisor; ``listeners`` accept; ``downstream`` and ``exchange`` carry HTTP, ``upstream`` the
connections to hosts; ``tcp`` carries bytes. What they decide by is pure and lies beside this package.
"""
