"""``istio.stats``. Its message is Istio's own (``istio.io/api/envoy/extensions/stats/config.proto``), so ``xds-protos`` does
not have it: the fields that control planes send are described here."""

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, message_factory

from mesh_api.config.service_metrics import MetricOverride, ServiceMetrics
from mesh_api.xds.fields import Fields
from mesh_api.xds.values import duration

NAME: Final = "istio.stats"
_PACKAGE: Final = "stats"
_Field: Final = descriptor_pb2.FieldDescriptorProto


def _message() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="envoy/extensions/stats/config.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[duration_pb2.DESCRIPTOR.name],
    )
    metric = file.message_type.add(name="MetricConfig")
    entry = metric.nested_type.add(name="DimensionsEntry")
    entry.options.map_entry = True
    _add(entry, "key", 1, _Field.TYPE_STRING)
    _add(entry, "value", 2, _Field.TYPE_STRING)
    _add(metric, "dimensions", 1, _Field.TYPE_MESSAGE, f".{_PACKAGE}.MetricConfig.DimensionsEntry", repeated=True)
    _add(metric, "name", 2, _Field.TYPE_STRING)
    _add(metric, "tags_to_remove", 3, _Field.TYPE_STRING, repeated=True)
    _add(metric, "match", 4, _Field.TYPE_STRING)
    _add(metric, "drop", 5, _Field.TYPE_BOOL)
    plugin = file.message_type.add(name="PluginConfig")
    _add(plugin, "disable_host_header_fallback", 6, _Field.TYPE_BOOL)
    _add(plugin, "tcp_reporting_duration", 7, _Field.TYPE_MESSAGE, ".google.protobuf.Duration")
    _add(plugin, "metrics", 8, _Field.TYPE_MESSAGE, f".{_PACKAGE}.MetricConfig", repeated=True)
    _add(plugin, "reporter", 10, _Field.TYPE_INT32)  # an enumeration, which is a number on the wire
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.PluginConfig"))


def _add(message: Any, name: str, number: int, kind: Any, type_name: str = "", *, repeated: bool = False) -> None:
    label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    message.field.add(name=name, number=number, type=kind, type_name=type_name or None, label=label)


MESSAGE: Final = _message()


def encode_service_metrics(found: ServiceMetrics) -> Any:
    """``stats.PluginConfig``."""
    return MESSAGE(
        disable_host_header_fallback=not found.host_fallback,
        tcp_reporting_duration=duration(found.tcp_interval),
        metrics=[
            {
                "name": metric.name,
                "dimensions": dict(metric.dimensions),
                "tags_to_remove": metric.tags_to_remove,
                "drop": metric.drop,
            }
            for metric in found.metrics
        ],
    )


def decode_service_metrics(fields: Fields) -> ServiceMetrics:
    """From ``stats.PluginConfig``."""
    with fields as f:
        return ServiceMetrics(
            metrics=tuple(_decode_metric(metric) for metric in f.children("metrics")),
            host_fallback=not f.flag("disable_host_header_fallback"),
            tcp_interval=f.duration("tcp_reporting_duration"),
        )


def _decode_metric(fields: Fields) -> MetricOverride:
    with fields as f:
        return MetricOverride(
            name=f.text("name"),
            dimensions=tuple(sorted(f.take("dimensions").items())),
            tags_to_remove=f.texts("tags_to_remove"),
            drop=f.flag("drop"),
        )
