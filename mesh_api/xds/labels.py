"""Metadata that balancing looks at, and the subsets of hosts that are made by it (``Cluster.LbSubsetConfig``)."""

import json
from typing import Any, Final

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from google.protobuf import struct_pb2
from google.protobuf.json_format import MessageToDict, ParseDict

from mesh_api.config.load_balancing import Labels, Subsets, SubsetSelector
from mesh_api.xds.fields import Fields

LB: Final = "envoy.lb"
_CONFIG = cluster_pb2.Cluster.LbSubsetConfig
_FLAGS = ("locality_weight_aware", "scale_locality_weight", "panic_mode_any", "list_as_any")


def encode_labels(labels: Labels, message: Any = None) -> Any:
    """``Metadata`` with these labels, added to ``message`` where there is one; ``None`` without either."""
    if not labels:
        return message
    made = base_pb2.Metadata() if message is None else message
    made.filter_metadata[LB].CopyFrom(struct_of(labels))
    return made


def struct_of(labels: Labels) -> Any:
    """``Struct`` of labels."""
    return ParseDict({key: json.loads(value) for key, value in labels}, struct_pb2.Struct())


def read_labels(fields: Fields | None) -> Labels:
    """The labels of a ``Metadata``; another namespace stays to be read by others (:mod:`.values`)."""
    if fields is None or LB not in fields.message.filter_metadata:
        return ()
    return labels_of(fields.message.filter_metadata[LB])


def read_match(fields: Fields | None) -> Labels:
    """The labels of a route's ``metadata_match``, where nothing else has a meaning."""
    if fields is None:
        return ()
    with fields as f:
        for namespace in sorted(f.take("filter_metadata")):
            if namespace != LB:
                raise f.error(f'filter_metadata["{namespace}"]', "not supported")
        return read_labels(fields)


def labels_of(struct: Any) -> Labels:
    """The labels in a ``Struct``, whole numbers as such."""
    return tuple((key, _text(value)) for key, value in sorted(MessageToDict(struct).items()))


def _text(value: object) -> str:
    return json.dumps(_plain(value), separators=(",", ":"), sort_keys=True)


def _plain(value: object) -> object:
    """Whole numbers without a fraction: all numbers of a ``Struct`` are floating."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def encode_subsets(subsets: Subsets) -> Any:
    """``LbSubsetConfig``."""
    message = _CONFIG(
        fallback_policy=_CONFIG.LbSubsetFallbackPolicy.Value(subsets.fallback),
        subset_selectors=[_encode_selector(selector) for selector in subsets.selectors],
        **{name: getattr(subsets, name) for name in _FLAGS},
    )
    if subsets.default_subset:
        message.default_subset.CopyFrom(struct_of(subsets.default_subset))
    return message


def _encode_selector(selector: SubsetSelector) -> Any:
    return _CONFIG.LbSubsetSelector(
        keys=selector.keys,
        fallback_policy=_CONFIG.LbSubsetSelector.LbSubsetSelectorFallbackPolicy.Value(selector.fallback),
        fallback_keys_subset=selector.fallback_keys,
        single_host_per_subset=selector.single_host,
    )


def decode_subsets(fields: Fields | None) -> Subsets | None:
    """From ``LbSubsetConfig``."""
    if fields is None:
        return None
    with fields as f:
        f.enum("metadata_fallback_policy", "METADATA_NO_FALLBACK")
        return Subsets(
            selectors=tuple(_decode_selector(selector) for selector in f.children("subset_selectors")),
            fallback=f.enum("fallback_policy"),
            default_subset=labels_of(f.take("default_subset")),
            **{name: f.flag(name) for name in _FLAGS},
        )


def _decode_selector(fields: Fields) -> SubsetSelector:
    with fields as f:
        return SubsetSelector(
            keys=f.texts("keys"),
            fallback=f.enum("fallback_policy"),
            fallback_keys=f.texts("fallback_keys_subset"),
            single_host=f.flag("single_host_per_subset"),
        )
