"""What settings are refused, with the field and the mend."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from mesh_control.settings import Settings, SettingsError, read


def found(folder: Path, **settings: Any) -> Settings:
    file = folder / "control.yml"
    file.write_text(yaml.safe_dump(settings))
    return read(file)


@pytest.mark.parametrize("address", ["0.0.0.0:15010", "[::]:15010", "10.0.0.1:15010", "host.example:15010"])
def test_a_shared_token_never_goes_in_plain_text(tmp_path: Path, address: str) -> None:
    for allowed in (False, True):
        settings = {"xds_address": address, "join_token_file": "/token", "plaintext_from_outside": allowed}
        with pytest.raises(
            SettingsError, match=r"xds_address: .* could read the token of join_token_file; serve .* TLS"
        ):
            found(tmp_path, **settings)


def test_plain_text_from_outside_is_allowed_by_name_alone(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"xds_address: 0.0.0.0:1 .* plaintext_from_outside: true"):
        found(tmp_path, xds_address="0.0.0.0:1")
    with pytest.raises(SettingsError, match=r"xds_address: 0.0.0.0:1 .* anyone could join"):
        found(tmp_path, xds_address="0.0.0.0:1", ca={})
    assert found(tmp_path, xds_address="0.0.0.0:1", plaintext_from_outside=True).xds_address == "0.0.0.0:1"


@pytest.mark.parametrize("address", ["127.0.0.1:15010", "[::1]:15010", "localhost:15010"])
def test_on_loopback_both_are_taken(tmp_path: Path, address: str) -> None:
    assert found(tmp_path, xds_address=address).join_token_file is None
    assert found(tmp_path, xds_address=address, join_token_file="/token").xds_address == address


def test_settings_that_are_nested_without_end_are_told(tmp_path: Path) -> None:
    (tmp_path / "control.yml").write_text("a: " + "[" * 5000)
    with pytest.raises(SettingsError, match=r"control.yml: values are nested deeper than 64 levels"):
        read(tmp_path / "control.yml")


def test_clocks_may_differ_by_a_time_that_is_none_below_zero(tmp_path: Path) -> None:
    usual, own = found(tmp_path, ca={}).ca, found(tmp_path, ca={"clock_skew": "5s"}).ca
    assert (usual and usual.clock_skew, own and own.clock_skew) == (timedelta(minutes=2), timedelta(seconds=5))
    with pytest.raises(SettingsError, match=r"ca\.clock_skew"):
        found(tmp_path, ca={"clock_skew": "-1s"})


def test_an_authority_of_several_replicas_is_in_a_cluster(tmp_path: Path) -> None:
    shared = {"secret": "istio-system/istio-ca-secret"}
    ca = found(tmp_path, ca=shared, kubernetes={}).ca
    assert ca is not None
    assert ca.secret == "istio-system/istio-ca-secret"
    assert found(tmp_path, ca=shared, kubernetes={}).gives_roots
    assert not found(tmp_path, ca={}, kubernetes={}).gives_roots
    assert found(tmp_path, ca={}, kubernetes={"root_config_maps": True}).gives_roots
    assert not found(tmp_path, ca=shared, kubernetes={"root_config_maps": False}).gives_roots
    for missing in ({}, {"ca": {}, "kubernetes": {"root_config_maps": True, "status": False}}):
        with pytest.raises(SettingsError, match=r"kubernetes\.root_config_maps: needs"):
            found(tmp_path, **{"kubernetes": {"root_config_maps": True}, **missing})
    with pytest.raises(SettingsError, match=r"ca\.secret: is in a cluster; write a section kubernetes"):
        found(tmp_path, ca=shared)
    with pytest.raises(
        SettingsError, match=r"ca\.given: the authority stands in the Secret istio-system/istio-ca-secret"
    ):
        found(tmp_path, ca={**shared, "given": "/etc/cacerts"}, kubernetes={})
    with pytest.raises(SettingsError, match=r"ca\.secret"):
        found(tmp_path, ca={"secret": "istio-ca-secret"}, kubernetes={})
