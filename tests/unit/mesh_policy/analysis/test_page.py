"""The page on analysis is not stale."""

import pytest

from mesh_policy.analysis.page import PAGE, rendered


def test_the_page_has_the_tables_of_today() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert rendered(page) == page, "run python -m mesh_policy.analysis.page"


def test_a_page_without_a_place_for_them() -> None:
    with pytest.raises(ValueError, match="has no place for the tables"):
        rendered("# Analysis\n")
