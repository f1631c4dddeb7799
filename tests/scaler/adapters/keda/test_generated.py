"""The generated gRPC code corresponds to its source."""

from __future__ import annotations

import pytest
from grpc_tools import protoc

from scaler.adapters.keda import externalscaler_pb2 as pb
from tests.paths import ROOT

SOURCE = "scaler/adapters/keda/externalscaler.proto"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated")
    command = ["protoc", f"-I{ROOT}", f"--python_out={folder}", f"--pyi_out={folder}", SOURCE]
    assert protoc.main(command) == 0
    return folder


@pytest.mark.parametrize("ending", ["_pb2.py", "_pb2.pyi"])
def test_the_committed_code_is_what_the_source_generates(made, ending):
    name = SOURCE.removesuffix(".proto") + ending
    assert (made / name).read_text() == (ROOT / name).read_text()


# Tag bytes are (number << 3 | kind): 0 a varint, 1 a double, 2 bytes with their length.
@pytest.mark.parametrize(
    ("message", "wire"),
    [
        pytest.param(
            pb.ScaledObjectRef(name="a", namespace="b", scalerMetadata={"k": "v"}),
            b"\x0a\x01a\x12\x01b\x1a\x06\x0a\x01k\x12\x01v",
            id="ScaledObjectRef",
        ),
        pytest.param(pb.IsActiveResponse(result=True), b"\x08\x01", id="IsActiveResponse"),
        pytest.param(
            pb.GetMetricSpecResponse(
                metricSpecs=[pb.MetricSpec(metricName="m", targetSize=1, targetSizeFloat=1.0)]
            ),
            b"\x0a\x0e\x0a\x01m\x10\x01\x19\x00\x00\x00\x00\x00\x00\xf0\x3f",
            id="GetMetricSpecResponse",
        ),
        pytest.param(
            pb.GetMetricsRequest(scaledObjectRef=pb.ScaledObjectRef(name="a"), metricName="m"),
            b"\x0a\x03\x0a\x01a\x12\x01m",
            id="GetMetricsRequest",
        ),
        pytest.param(
            pb.GetMetricsResponse(
                metricValues=[pb.MetricValue(metricName="m", metricValue=1, metricValueFloat=1.0)]
            ),
            b"\x0a\x0e\x0a\x01m\x10\x01\x19\x00\x00\x00\x00\x00\x00\xf0\x3f",
            id="GetMetricsResponse",
        ),
    ],
)
def test_messages_have_the_wire_format_that_keda_reads(message, wire):
    assert message.SerializeToString(deterministic=True) == wire


def test_the_service_has_the_calls_that_keda_makes():
    service = pb.DESCRIPTOR.services_by_name["ExternalScaler"]
    assert service.full_name == "externalscaler.ExternalScaler"
    assert [
        (method.name, method.input_type.name, method.output_type.name, method.server_streaming)
        for method in service.methods
    ] == [
        ("IsActive", "ScaledObjectRef", "IsActiveResponse", False),
        ("StreamIsActive", "ScaledObjectRef", "IsActiveResponse", True),
        ("GetMetricSpec", "ScaledObjectRef", "GetMetricSpecResponse", False),
        ("GetMetrics", "GetMetricsRequest", "GetMetricsResponse", False),
    ]
