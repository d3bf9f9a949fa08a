"""The table of codes against Istio's list, and against what the checks use."""

import re
from pathlib import Path

from mesh_policy.analysis.codes import CODES, LEFT_OUT, Level

_LIST = (
    "0001E 0002W 0101E 0102I 0103W 0106E 0107W 0108W 0109E 0110E 0111E 0112E 0116W 0118I 0123W 0125W 0126E "
    "0127W 0128W 0129W 0130W 0131I 0132W 0133W 0134W 0135I 0136I 0137W 0138W 0139E 0140W 0141E 0142E 0143E "
    "0144W 0145E 0146W 0147E 0148I 0149E 0150W 0151W 0152E 0153E 0154E 0155W 0156E 0157W 0158W 0159E 0160E "
    "0161E 0162W 0163W 0164I 0165W 0166W 0167W 0168W 0169W 0170W 0171W 0172W 0173E 0174W 0175W 0176W 0177W"
)
_NAMES = {"E": "Error", "W": "Warning", "I": "Info"}
LEVELS = {f"IST{item[:4]}": _NAMES[item[4]] for item in _LIST.split()}
"""Every code of Istio's and its level (August 2026)."""
PACKAGE = Path(__file__).parents[4] / "mesh_policy" / "analysis"
CONTROL_PLANE = PACKAGE.parents[1] / "mesh_control" / "validate.py"


def test_every_code_of_istio_is_found_or_left_out_with_a_reason() -> None:
    own = {code for code in CODES if code.startswith("IST")}
    assert own | LEFT_OUT.keys() == LEVELS.keys()
    assert not own & LEFT_OUT.keys()
    assert all(LEFT_OUT.values())


def test_levels_are_istios() -> None:
    for code in CODES.values():
        if code.code in LEVELS:
            assert code.level.name.capitalize() == LEVELS[code.code], code.code
            assert code.documentation.endswith(f"/{code.code.lower()}/")
        else:
            assert code.documentation == ""


def test_every_code_is_used_and_every_used_code_is_in_the_table() -> None:
    text = "".join(p.read_text() for p in PACKAGE.glob("*.py") if p.name != "codes.py") + CONTROL_PLANE.read_text()
    used = set(re.findall(r'"((?:IST|MESH)[0-9]{4})"', text))
    assert used == CODES.keys()


def test_codes_are_in_order_and_named_once() -> None:
    assert list(CODES) == sorted(CODES)
    assert len({code.name for code in CODES.values()}) == len(CODES)
    assert all(code.meaning.endswith(".") and isinstance(code.level, Level) for code in CODES.values())
