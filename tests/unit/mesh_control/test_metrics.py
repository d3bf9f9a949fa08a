"""The text form of metrics."""

import pytest

from mesh_control.metrics import Metrics


def test_exposition() -> None:
    metrics = Metrics()
    metrics.count("pilot_xds_pushes", type="cds")
    metrics.count("pilot_xds_pushes", 2, type="cds")
    metrics.gauge("pilot_info", 1, version='a"b\\c\n')
    metrics.observe("pilot_debounce_time", 0.5)
    metrics.observe("pilot_debounce_time", 100.0)
    lines = metrics.exposition().splitlines()
    assert 'pilot_info{version="a\\"b\\\\c\\n"} 1' in lines
    assert 'pilot_xds_pushes{type="cds"} 3' in lines
    assert lines[lines.index("# TYPE pilot_debounce_time histogram") + 1 :] == [
        'pilot_debounce_time_bucket{le="0.01"} 0',
        'pilot_debounce_time_bucket{le="0.1"} 0',
        'pilot_debounce_time_bucket{le="1"} 1',
        'pilot_debounce_time_bucket{le="3"} 1',
        'pilot_debounce_time_bucket{le="5"} 1',
        'pilot_debounce_time_bucket{le="10"} 1',
        'pilot_debounce_time_bucket{le="20"} 1',
        'pilot_debounce_time_bucket{le="30"} 1',
        'pilot_debounce_time_bucket{le="+Inf"} 2',
        "pilot_debounce_time_sum 100.5",
        "pilot_debounce_time_count 2",
    ]


def test_a_name_that_is_not_listed_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Metrics().count("pilot_unknown")
    with pytest.raises(KeyError, match="is a gauge, not a counter"):
        Metrics().count("pilot_xds")
