# SPDX-License-Identifier: Apache-2.0
"""gRPC's own clients: grpcio, KServe's InferenceGRPCClient, health and reflection.

    VENV/bin/python tests/client/test_grpc.py    (VENV: see test_client.py)
"""
import asyncio
import json
import pathlib
import sys
import time

import grpc
import numpy
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from kserve import InferenceGRPCClient, InferInput, InferRequest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "conformance"))
import grpc_expect
import harness
from harness import Problems, Server, check
from samples import ONE, ONE_SCORES, TWO, TWO_SCORES, V1, check_scores, metrics, scores_of, v1_body
from wire import ask

TRANSCRIPT = harness.ROOT / "tests/conformance/data/kserve-grpc.jsonl"
SERVICE = "/inference.GRPCInferenceService/"
KSERVE_LIMIT = 8 << 20  # of a message, as the recorded server had it
TIMEOUT = harness.limit(20)
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
           ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]


def address(server):
    return f"{server.address}:{server.port}"


def channel_to(server):
    return grpc.insecure_channel(address(server), options=OPTIONS)


def call(channel, method, message, **details):
    """(code, text, response) of a unary call of bytes."""
    stub = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
    try:
        return "OK", "", stub(message, timeout=details.pop("timeout", TIMEOUT), **details)
    except grpc.RpcError as error:
        return error.code().name, error.details() or "", b""


def call_stream(channel, method, messages):
    stub = channel.stream_stream(method, request_serializer=bytes, response_deserializer=bytes)
    try:
        return "OK", "", b"".join(stub(iter(messages), timeout=TIMEOUT))
    except grpc.RpcError as error:
        return error.code().name, error.details() or "", b""


def text_field(number, text):
    return bytes([number << 3 | 2, len(text)]) + text.encode()


def infer_request(columns, model="dcnv2"):
    """KServe's own object, with raw tensors."""
    tensors = []
    for name, values in columns.items():
        is_number = name == "price"
        array = numpy.array(values, dtype=numpy.float64) if is_number else \
            numpy.array([str(value).encode() for value in values], dtype=numpy.object_)
        tensor = InferInput(name, [len(values)], "FP64" if is_number else "BYTES")
        tensor.set_data_from_numpy(array, binary_data=True)
        tensors.append(tensor)
    return InferRequest(model_name=model, infer_inputs=tensors)


def infer_message(columns, model="dcnv2"):
    return infer_request(columns, model).to_grpc().SerializeToString()


# ---------------------------------------------------------------- the recorded exchanges

def test_each_recorded_exchange():
    exchanges = [json.loads(line) for line in TRANSCRIPT.read_text().splitlines()]
    by_name = {exchange["name"]: exchange for exchange in exchanges}
    codings = {"gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate, None: None,
               "identity": grpc.Compression.NoCompression}
    problems = Problems()
    with Server("--enable_model_repository", "true", "--max_body_bytes", KSERVE_LIMIT) as server:
        for exchange in exchanges:
            metadata = [(key, bytes.fromhex(value) if key.endswith("-bin") else value)
                        for key, value in exchange.get("metadata", [])]
            sent = grpc_expect.messages(exchange)
            with channel_to(server) as channel:
                if exchange.get("kind") == "stream":
                    code, text, response = call_stream(channel, exchange["method"], sent)
                else:
                    code, text, response = call(channel, exchange["method"], sent[0], metadata=metadata,
                                                compression=codings[exchange.get("compression")],
                                                timeout=exchange.get("timeout_s", TIMEOUT))
            try:
                grpc_expect.check(exchange, by_name, code, text, response)
            except grpc_expect.Mismatch as mismatch:
                problems.append(f"{exchange['name']}: {mismatch}")
    check(len(exchanges) > 170, f"{len(exchanges)} exchanges")
    problems.report()


# ---------------------------------------------------------------- clients

def test_kserves_client():
    async def run(server):
        client = InferenceGRPCClient(address(server), timeout=TIMEOUT)
        try:
            check(await client.is_server_live() and await client.is_server_ready(), "live and ready")
            check(await client.is_model_ready("dcnv2"), "model ready")
            return await client.infer(infer_request(TWO))
        finally:
            await client.close()
    with Server() as server:
        response = asyncio.run(run(server))
        check_scores(response.outputs[0].as_numpy().flatten().tolist(), TWO_SCORES)


def test_health_is_checked_and_watched():
    with Server() as server, channel_to(server) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", "inference.GRPCInferenceService"):
            check(stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT).status == 1, service)
        code, text, _ = call(channel, "/grpc.health.v1.Health/Check", text_field(1, "nope"))
        check(code == "NOT_FOUND" and "nope" in text, f"{code} {text}")
        watched = stub.Watch(health_pb2.HealthCheckRequest(service="nope"), timeout=TIMEOUT)
        check(next(watched).status == 3, "SERVICE_UNKNOWN")
        watched.cancel()
        watched = stub.Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
        check(next(watched).status == 1, "SERVING")
        server.send_signal(15)
        seen = []
        try:
            seen.extend(answer.status for answer in watched)
        except grpc.RpcError as error:
            check(error.code() == grpc.StatusCode.UNAVAILABLE, f"{error}")
        check(seen == [2], f"a watcher is told that the server stops: {seen}")
        check(server.wait(20) == 0, "the watch holds up the end")


def test_reflection_describes_the_services():
    with Server() as server, channel_to(server) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        services = set(database.get_services())
        check({"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= services, f"{services}")
        file = database.FindFileContainingSymbol("inference.GRPCInferenceService")
        methods = {method.name for service in file.service for method in service.method}
        check({"ModelInfer", "ServerLive", "ModelMetadata"} <= methods, f"{methods}")


def test_a_call_in_which_no_message_comes_ends():
    ended = []
    with Server("--idle_timeout", "1") as server, channel_to(server) as channel:
        stub = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                                     request_serializer=bytes, response_deserializer=bytes)

        def messages():
            yield text_field(7, "")
            while not ended:
                time.sleep(0.05)
        answers = stub(messages(), timeout=TIMEOUT)
        try:
            check(b"inference.GRPCInferenceService" in next(answers), "the services")
            next(answers)
            raise harness.Failure("a second answer")
        except grpc.RpcError as error:
            check(error.code() == grpc.StatusCode.DEADLINE_EXCEEDED and "No message" in error.details(), f"{error}")
        finally:
            ended.append(True)


# ---------------------------------------------------------------- calls

def test_errors_say_what_rest_says():
    with Server() as server, channel_to(server) as channel:
        document = {name: values for name, values in ONE.items() if name != "brand"}
        code, text, _ = call(channel, SERVICE + "ModelInfer", infer_message(document))
        check(code == "INVALID_ARGUMENT" and "brand" in text, f"{code} {text}")
        code, text, _ = call(channel, SERVICE + "ModelInfer", infer_message(ONE, model="n\u00e9e"))
        check(code == "NOT_FOUND" and "n\u00e9e" in text, f"{code} {text}")
        code, text, _ = call(channel, SERVICE + "Nope", b"")
        check(code == "UNIMPLEMENTED" and "Nope" in text, f"{code} {text}")
        check(ask(server, "POST", SERVICE + "ModelInfer", b"{}").status == 415, "over HTTP/1.1")


def test_calls_and_requests_are_scored_together():
    """Of HTTP/1.1, of many streams and of many connections at once: each gets its own scores."""
    with Server("--workers", "1") as server:
        channels = [channel_to(server) for _ in range(4)]
        stubs = [channel.unary_unary(SERVICE + "ModelInfer", request_serializer=bytes, response_deserializer=bytes)
                 for channel in channels]
        message = [infer_message(ONE), infer_message(TWO)]
        expected = [ONE_SCORES, TWO_SCORES]
        futures = [(i % 2, stubs[i % 4].future(message[i % 2], timeout=TIMEOUT)) for i in range(400)]
        for _ in range(50):
            check_scores(scores_of(ask(server, "POST", V1, v1_body(TWO))), TWO_SCORES)
        for kind, future in futures:
            _, _, outputs, raw = grpc_expect.read_scores(future.result())
            check(raw, "raw in, raw out")
            check_scores(list(outputs[0][3]), expected[kind])
        check(metrics(server)['dcnv2_requests_in_flight'] <= 1, "in flight")
        for channel in channels:
            channel.close()


def test_calls_under_way_at_sigterm_are_answered():
    with Server("--workers", "2") as server, channel_to(server) as channel:
        stub = channel.unary_unary(SERVICE + "ModelInfer", request_serializer=bytes, response_deserializer=bytes)
        message = infer_message(TWO)
        stub(message, timeout=TIMEOUT)
        futures = [stub.future(message, timeout=TIMEOUT) for _ in range(300)]
        server.send_signal(15)
        failed = [f.exception() for f in futures if f.exception() is not None]
        # gRPC's client may try anew only those that the server says it has not begun.
        begun = [e for e in failed if e.code() != grpc.StatusCode.UNAVAILABLE]
        check(not begun and len(failed) == 0, f"{len(failed)} of 300 failed: {failed[:1]}")
        check(server.wait(20) == 0, "the end")


def test_the_second_port_speaks_the_same():
    port = harness.free_port()
    with Server("--grpc_port", port) as server:
        with grpc.insecure_channel(f"{server.address}:{port}", options=OPTIONS) as channel:
            check(call(channel, SERVICE + "ServerLive", b"")[0] == "OK", "gRPC on its port")
        with channel_to(server) as channel:
            check(call(channel, SERVICE + "ServerLive", b"")[0] == "OK", "gRPC on the port of HTTP")
    with Server("--grpc_port", port, "--enable_grpc", "false") as server:
        with grpc.insecure_channel(f"{server.address}:{port}", options=OPTIONS) as channel:
            check(call(channel, SERVICE + "ServerLive", b"", timeout=2)[0] in ("UNAVAILABLE", "DEADLINE_EXCEEDED"), "off")


if __name__ == "__main__":
    harness.main(globals())
