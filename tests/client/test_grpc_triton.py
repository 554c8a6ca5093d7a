# SPDX-License-Identifier: Apache-2.0
"""Triton's client of gRPC, whose messages have the names of KServe's and not all of their fields.

    VENV/bin/python tests/client/test_grpc_triton.py    (VENV: see test_client.py)
"""
import pathlib
import sys

import numpy
import tritonclient.grpc as triton

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import Server, check
from samples import TWO, TWO_SCORES, check_scores


def inputs_of(columns):
    found = []
    for name, values in columns.items():
        array = numpy.array([str(value).encode() for value in values], dtype=numpy.object_)
        datatype = "BYTES"
        if name == "price":
            array, datatype = numpy.array(values, dtype=numpy.float64), "FP64"
        tensor = triton.InferInput(name, [len(values)], datatype)
        tensor.set_data_from_numpy(array)
        found.append(tensor)
    return found


def test_each_call_of_the_client():
    with Server("--enable_model_repository", "true") as server:
        client = triton.InferenceServerClient(f"{server.address}:{server.port}")
        check(client.is_server_live() and client.is_server_ready() and client.is_model_ready("dcnv2"), "ready")
        inputs = {tensor.name: tensor for tensor in client.get_model_metadata("dcnv2").inputs}
        check(set(inputs) == set(TWO) and inputs["price"].datatype == "FP64", f"{sorted(inputs)}")
        check(client.get_server_metadata().name == "dcnv2-server", "server metadata")
        for compression in (None, "gzip", "deflate"):
            result = client.infer("dcnv2", inputs_of(TWO), request_id="a", compression_algorithm=compression)
            check_scores(result.as_numpy("output-0").flatten().tolist(), TWO_SCORES)
            check(result.get_response().id == "a" and result.get_response().raw_output_contents, "raw, with its id")
        client.unload_model("dcnv2")
        check([m.state for m in client.get_model_repository_index().models] != ["READY"], "unloaded")
        client.load_model("dcnv2")
        check(client.is_model_ready("dcnv2"), "loaded again")
        client.close()


if __name__ == "__main__":
    harness.main(globals())
