"""What is made for proxies of our own is what they can run."""

from dataclasses import replace
from pathlib import Path

import pytest

from mesh_api.node import Node
from mesh_control.compiler import compile_proxy
from mesh_control.proxies import proxy_of
from mesh_proxy.support import refused
from tests.support import istiod_cases

KNOWN = ("accept_untrusted = True is not supported yet",)
"""Of policies that are refused when they are applied: clients whose certificates nobody verifies."""


@pytest.mark.parametrize("file", istiod_cases.FILES, ids=[file.stem for file in istiod_cases.FILES])
def test_nothing_is_refused(file: Path) -> None:
    case = istiod_cases.read(file)
    for asker in case.proxies.values():
        config = compile_proxy(case.world, replace(proxy_of(Node(asker.id, metadata=asker.metadata)), own=True))
        for resources in (config.clusters, config.endpoints, config.listeners, config.routes):
            assert [told for told in refused(resources) if told not in KNOWN] == []
