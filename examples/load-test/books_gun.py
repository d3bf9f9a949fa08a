"""The gun of the load test: what Yandex Tank's BFG generator runs for each shot, in each of its worker processes.

BFG's own ``http`` gun opens a new connection for every shot and cannot set the header ``Host``, by which the gateway routes.
Runs in the tank's environment, so it uses nothing but what that has.
"""

from __future__ import annotations

from typing import Any

import requests


class LoadTest:
    """One user: keeps its connection open, follows no redirect."""

    def __init__(self, gun: Any) -> None:
        self._gun = gun
        self._session = requests.Session()
        self._session.headers["Host"] = gun.get_option("host")
        # Loopback and the gateway are reached directly, whatever the shell's proxy variables say.
        self._session.trust_env = False
        self._address = gun.get_option("base_address").rstrip("/")
        self._timeout = float(gun.get_option("timeout_seconds"))

    def books(self, path: str) -> None:
        """The shot that ``ammo.txt`` names ``books``. A lost or refused connection counts as a network error."""
        with self._gun.measure("books") as shot:
            try:
                answer = self._session.get(self._address + path, timeout=self._timeout, allow_redirects=False)
                shot["proto_code"] = answer.status_code
                shot["size_in"] = len(answer.content)
            except requests.Timeout:
                shot["net_code"], shot["proto_code"] = 110, 0  # ETIMEDOUT
            except requests.RequestException:
                shot["net_code"], shot["proto_code"] = 111, 0  # ECONNREFUSED, and whatever else keeps an answer away
            finally:
                # The time of the whole shot is what the tank calls latency when nothing finer is measured.
                shot["size_out"] = len(path)

    def teardown(self) -> None:
        """At the end of the worker."""
        self._session.close()
