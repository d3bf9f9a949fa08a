"""What is said to the compiler changes nothing where nothing is compiled."""

from mesh_proxy.native import mypyc_attr


def test_interpreted_a_class_stays_as_it_is() -> None:
    class Plain:
        pass

    assert mypyc_attr(acyclic=True, free_list_len=1)(Plain) is Plain
