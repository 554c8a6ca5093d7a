# SPDX-License-Identifier: Apache-2.0
"""The real clients: KServe's own InferenceRESTClient and `requests`.

    python3 -m venv VENV && VENV/bin/pip install -r tests/client/requirements.txt
    VENV/bin/python tests/client/test_client.py

Each sends the same two rows, the first of them model/input.json's, in v1 and in v2, as JSON and
as binary tensors; all must get the same scores, which are the recorded ones.
"""
import asyncio
import json
import pathlib
import struct
import sys

import aiohttp  # KServe's client is built on it
import numpy
import requests
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import check
from samples import (ONE, TWO, TWO_SCORES, V1, V2, bits, check_scores, v1_body, v2_binary,
                     v2_document)

MODEL = "dcnv2"
TIMEOUT = harness.limit(20)


def url(server, path=""):
    return f"http://127.0.0.1:{server.port}{path}"


def expect_recorded(scores):
    """Equal to the recorded scores as float32, to within the tolerance."""
    found = numpy.asarray(scores, dtype=numpy.float64).flatten().tolist()
    check_scores(found, TWO_SCORES)
    return bits(found)


def kserve_client(protocol, use):
    """What `use(client)` returns, with a client that is closed afterwards."""
    async def run():
        client = InferenceRESTClient(RESTConfig(protocol=protocol, timeout=TIMEOUT))
        try:
            return await use(client)
        finally:
            await client.close()
    return asyncio.run(run())


def kserve_infer(server, protocol, data):
    return kserve_client(protocol, lambda client: client.infer(url(server), data, model_name=MODEL))


def v2_request(binary, outputs=None, request_id=None, parameters=None, category_type="BYTES"):
    """The two rows as KServe's own objects."""
    tensors = []
    for name, values in TWO.items():
        if name == "price":
            array = numpy.array(values, dtype=numpy.float64)
            tensor = InferInput(name, [2], "FP64")
        else:
            array = numpy.array([value.encode() for value in values], dtype=numpy.object_)
            tensor = InferInput(name, [2], category_type)
        tensor.set_data_from_numpy(array, binary_data=binary)
        tensors.append(tensor)
    return InferRequest(MODEL, tensors, request_id=request_id, request_outputs=outputs,
                        parameters={"content_type": "pd", **(parameters or {})})


def as_the_published_client_writes_it():
    """Column types named by their first value, the price as BYTES with numbers in it."""
    return InferRequest(MODEL, [InferInput(name, [2], "BYTES", data=list(values))
                                for name, values in TWO.items()], parameters={"content_type": "pd"})


def recorded_by_kserve_v2(server, request):
    """(bits, response) of a v2 request through KServe's client."""
    response = kserve_infer(server, "v2", request)
    check(len(response.outputs) == 1, f"{len(response.outputs)} outputs")
    output = response.outputs[0]
    check((output.name, list(output.shape), output.datatype) == ("output-0", [2, 1], "FP32"),
          f"{output.name} {output.shape} {output.datatype}")
    return expect_recorded(output.as_numpy()), response


def reference_bits(server):
    """What `requests` gets in v1, with which all others are compared."""
    answer = requests.post(url(server, V1), json={"inputs": [TWO]}, timeout=TIMEOUT)
    check(answer.status_code == 200, f"status {answer.status_code}: {answer.text[:200]}")
    check(answer.headers["content-type"].startswith("application/json"), "content type")
    return expect_recorded(answer.json()["predictions"])


def test_the_first_row_is_the_demo_request(server):
    demo = json.loads((harness.ROOT / "model/input.json").read_text())["inputs"][0]
    check(demo == ONE, "model/input.json is another row")
    for name, values in TWO.items():
        check(values[0] == demo[name][0], f"{name} differs")
    reference_bits(server)


def test_requests_gets_the_recorded_scores_in_v2(server):
    expected = reference_bits(server)
    answer = requests.post(url(server, V2), json=v2_document(TWO), timeout=TIMEOUT)
    check(answer.status_code == 200, f"status {answer.status_code}: {answer.text[:200]}")
    check(expect_recorded(answer.json()["outputs"][0]["data"]) == expected, "other bits than in v1")


def test_requests_gets_the_recorded_scores_with_binary_tensors(server):
    expected = reference_bits(server)
    body, headers = v2_binary(TWO, document={"parameters": {"binary_data_output": True}})
    answer = requests.post(url(server, V2), data=body, timeout=TIMEOUT,
                           headers={name: str(value) for name, value in headers})
    check(answer.status_code == 200, f"status {answer.status_code}: {answer.text[:200]}")
    length = int(answer.headers["inference-header-content-length"])
    scores = struct.unpack("<2f", answer.content[length:])
    check(expect_recorded(scores) == expected, "other bits than in v1")


def test_requests_sends_gzip_and_chunks_over_one_session(server):
    expected = reference_bits(server)
    with requests.Session() as session:
        for _ in range(3):
            chunks = (v1_body(TWO)[i:i + 50] for i in range(0, len(v1_body(TWO)), 50))
            answer = session.post(url(server, V1), data=chunks, timeout=TIMEOUT)
            check(expect_recorded(answer.json()["predictions"]) == expected, "in chunks")
            answer = session.get(url(server, "/v2/health/ready"), timeout=TIMEOUT)
            check(answer.json() == {"ready": True}, answer.text)


def test_aiohttp_compresses_with_deflate_and_with_gzip(server):
    expected = reference_bits(server)

    async def post(path, document, compress):
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT)) as session:
            async with session.post(url(server, path), json=document, compress=compress) as answer:
                check(answer.status == 200, f"status {answer.status}: {await answer.text()}")
                return await answer.json()
    for compress in (True, "deflate", "gzip"):
        answer = asyncio.run(post(V1, {"inputs": [TWO]}, compress))
        check(expect_recorded(answer["predictions"]) == expected, f"{compress}: other bits in v1")
        answer = asyncio.run(post(V2, v2_document(TWO), compress))
        check(expect_recorded(answer["outputs"][0]["data"]) == expected, f"{compress}: other bits in v2")


def test_kserves_client_gets_the_recorded_scores_in_v1(server):
    expected = reference_bits(server)
    for key in ("inputs", "instances"):
        answer = kserve_infer(server, "v1", {key: [TWO]})
        check(expect_recorded(answer["predictions"]) == expected, f"{key}: other bits")
    rows = [{name: values[i] for name, values in TWO.items()} for i in range(2)]
    answer = kserve_infer(server, "v1", {"instances": rows})
    check(expect_recorded(answer["predictions"]) == expected, "a row each: other bits")


def test_kserves_client_gets_the_recorded_scores_in_v2_with_json(server):
    expected = reference_bits(server)
    for request in (v2_request(binary=False), as_the_published_client_writes_it()):
        found, _ = recorded_by_kserve_v2(server, request)
        check(found == expected, "other bits than in v1")


def test_kserves_client_gets_the_recorded_scores_with_binary_tensors(server):
    expected = reference_bits(server)
    for outputs, parameters in (
            (None, None), (None, {"binary_data_output": True}),
            ([RequestedOutput("output-0", {"binary_data": True})], None),
            ([RequestedOutput("output-0", {"binary_data": False})], None)):
        for binary in (True, False):
            found, _ = recorded_by_kserve_v2(server, v2_request(binary, outputs, None, parameters))
            check(found == expected, f"{parameters}, binary {binary}: other bits than in v1")


def test_kserves_client_gets_its_id_back(server):
    for binary in (True, False):
        _, response = recorded_by_kserve_v2(server, v2_request(binary, request_id="request-42"))
        check(response.id == "request-42", f"id {response.id!r}")
        check(response.model_name == MODEL, f"model name {response.model_name!r}")


def test_kserves_client_sees_readiness_and_liveness(server):
    async def probe(client):
        return (await client.is_server_ready(url(server)), await client.is_server_live(url(server)),
                await client.is_model_ready(url(server), MODEL))
    check(kserve_client("v2", probe) == (True, True, True), "v2")

    async def probe_v1(client):
        return await client.is_model_ready(url(server), MODEL)
    check(kserve_client("v1", probe_v1) is True, "v1")


def test_kserves_client_shows_the_servers_error_text(server):
    request = v2_request(binary=False)
    request.inputs = request.inputs[1:]
    try:
        kserve_infer(server, "v2", request)
    except Exception as error:  # httpx's HTTPStatusError, raised by KServe's client
        check("userid" in str(error) and "400" in str(error), f"{error}")
    else:
        raise harness.Failure("a request without userid was answered")


if __name__ == "__main__":
    harness.main(globals())
