"""The table of filters: complete, and every filter in it proven."""

from pathlib import Path
from typing import get_args

import pytest

from mesh_api.config import CorsFilter, FaultFilter, HttpFilter, RbacFilter, RouterFilter
from mesh_proxy.filters import FILTERS, PASSED_OVER, FilterError, compile_filters
from mesh_proxy.support import REFUSED_PARTS
from mesh_proxy.telemetry.stats import Counters


def test_every_filter_of_the_configuration_has_its_place() -> None:
    assert set(get_args(HttpFilter)) - set(FILTERS) - set(REFUSED_PARTS) == {RouterFilter, *PASSED_OVER}


@pytest.mark.parametrize("made", FILTERS.values(), ids=lambda made: made.__name__)
def test_every_filter_has_a_module_and_a_test_file_of_its_own(made: type) -> None:
    package, _, module = made.__module__.rpartition(".")
    assert package == "mesh_proxy.filters"
    assert (Path(__file__).parent / f"test_{module}.py").is_file()


def test_filters_are_made_in_the_order_of_the_control_plane() -> None:
    for order in ((CorsFilter(), FaultFilter()), (FaultFilter(), RbacFilter(), CorsFilter()), ()):
        made = compile_filters((*order, RouterFilter()), Counters("http.s"))
        assert [type(one) for one in made] == [FILTERS[type(config)] for config in order]


@pytest.mark.parametrize("configs", [(), (FaultFilter(),), (RouterFilter(), FaultFilter())])
def test_the_router_is_the_last(configs: tuple[HttpFilter, ...]) -> None:
    with pytest.raises(FilterError, match="the last HTTP filter must be the router"):
        compile_filters(configs, Counters("http.s"))


def test_a_filter_that_is_not_in_the_table_is_refused_by_name() -> None:
    with pytest.raises(FilterError, match="RouterFilter is not supported before the router"):
        compile_filters((RouterFilter(), RouterFilter()), Counters("http.s"))
