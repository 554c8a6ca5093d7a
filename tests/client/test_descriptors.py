# SPDX-License-Identifier: Apache-2.0
"""What server reflection says of the messages, read by protobuf's own library and set beside KServe's.

    make build/tests/client/print_reflection
    VENV/bin/python tests/client/test_descriptors.py    (VENV: see test_client.py)

The messages of the questions themselves are made of the reply's own descriptors, as grpcurl does.
"""
import functools
import pathlib
import subprocess
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from kserve.protocol.grpc import grpc_predict_v2_pb2

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness
from harness import ROOT, Problems, check, limit

PRINT_REFLECTION = ROOT / "build/tests/client/print_reflection"
FILES = ["grpc_predict_v2.proto", "grpc/health/v1/health.proto", "grpc/reflection/v1/reflection.proto",
         "grpc/reflection/v1alpha/reflection.proto"]
SERVICES = ["inference.GRPCInferenceService", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection"]
# What is Triton's and not KServe's.
OURS_ALONE = {"inference.RepositoryIndexRequest", "inference.RepositoryIndexResponse"}
CHOICES_OF_TRITON = {"double_param", "uint64_param"}


def answers(questions):
    """(metadata, replies), as bytes."""
    lines = "".join(question.hex() + "\n" for question in questions)
    done = subprocess.run([str(PRINT_REFLECTION)], input=lines.encode(), capture_output=True, timeout=limit(60))
    check(done.returncode == 0, f"exit code {done.returncode}: {done.stderr[:300]!r}")
    metadata, *replies = map(bytes.fromhex, done.stdout.decode().splitlines())
    check(len(replies) == len(questions), f"{len(replies)} replies to {len(questions)} questions")
    return metadata, replies


def field(number, text):
    return bytes([number << 3 | 2, len(text)]) + text.encode()


def file_of(reply):
    """The FileDescriptorProto in a reply: field 1 of field 4."""
    envelope = descriptor_pb2.FileDescriptorSet()  # whose field 1 is a file, as that of the reply's field 4 is
    at = 2 + reply[1]                              # behind the question, which is field 2 and short
    check(reply[at] == 4 << 3 | 2, f"no file, but {reply[at:]}")
    size = shift = 0
    while True:
        at += 1
        size, shift = size | (reply[at] & 127) << shift, shift + 7
        if reply[at] < 128:
            break
    check(len(reply) == at + 1 + size, "the file is not the last field of the reply")
    envelope.ParseFromString(reply[at + 1:])
    return envelope.file[0]


@functools.cache
def files():
    _, replies = answers([field(3, name) for name in FILES])
    return {name: file_of(reply) for name, reply in zip(FILES, replies)}


@functools.cache
def pool():
    made = descriptor_pool.DescriptorPool()
    for file in files().values():
        made.Add(file)
    return made


def message_class(name):
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(name))


def ask(package="grpc.reflection.v1", **choice):
    request = message_class(f"{package}.ServerReflectionRequest")(host="h", **choice)
    reply = message_class(f"{package}.ServerReflectionResponse")()
    reply.ParseFromString(answers([request.SerializeToString()])[1][0])
    check(reply.valid_host == "h" and reply.original_request == request, f"the question comes back as {reply}")
    return reply


def text_of(message):
    return text_format.MessageToString(message, as_one_line=True)


def test_protobuf_takes_every_file():
    for name, file in files().items():
        found = pool().FindFileByName(name)
        check(found.package == file.package and file.syntax == "proto3", f"{name}: {found.package}")
        unknown = [service for service in file.service if not pool().FindServiceByName(f"{file.package}.{service.name}").methods]
        check(not unknown, f"{name}: {unknown}")


def test_the_fields_are_those_of_kserve():
    problems = Problems()
    theirs = descriptor_pb2.FileDescriptorProto.FromString(grpc_predict_v2_pb2.DESCRIPTOR.serialized_pb)
    ours = files()["grpc_predict_v2.proto"]
    check(ours.package == theirs.package and ours.name == theirs.name, f"{ours.name}, {ours.package}")
    of_ours = {message.name: message for message in ours.message_type}
    for message in theirs.message_type:
        found = descriptor_pb2.DescriptorProto()
        found.CopyFrom(of_ours.pop(message.name))
        if message.name == "InferParameter":
            kept = [f for f in found.field if f.name not in CHOICES_OF_TRITON]
            check(len(kept) == len(found.field) - len(CHOICES_OF_TRITON), "Triton's choices of a parameter are missing")
            del found.field[:]
            found.field.extend(kept)
        if found != message:
            problems.append(f"{message.name}: {text_of(found)}, not {text_of(message)}")
    problems.report()
    check({f"inference.{name}" for name in of_ours} == OURS_ALONE, f"more messages: {list(of_ours)}")


def test_the_methods_are_those_of_kserve():
    theirs = grpc_predict_v2_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
    ours = pool().FindServiceByName("inference.GRPCInferenceService").methods_by_name
    check(set(ours) == set(theirs) | {"RepositoryIndex"}, f"methods {sorted(ours)}")
    for name, method in theirs.items():
        check(ours[name].input_type.full_name == method.input_type.full_name and
              ours[name].output_type.full_name == method.output_type.full_name, name)
    for package in ("grpc.reflection.v1", "grpc.reflection.v1alpha"):
        method = pool().FindServiceByName(f"{package}.ServerReflection").methods_by_name["ServerReflectionInfo"]
        check(method.client_streaming and method.server_streaming, f"{package} does not stream")
    health = pool().FindServiceByName("grpc.health.v1.Health").methods_by_name
    check(health["Watch"].server_streaming and not health["Watch"].client_streaming and
          not health["Check"].server_streaming, "the methods of Health")
    serving = pool().FindEnumTypeByName("grpc.health.v1.HealthCheckResponse.ServingStatus").values_by_name["SERVING"]
    check(serving.number == 1, f"SERVING is {serving.number}")


def test_services_are_listed():
    for package in ("grpc.reflection.v1", "grpc.reflection.v1alpha"):
        found = [service.name for service in ask(package, list_services="").list_services_response.service]
        check(found == SERVICES, f"{found}")


def test_each_symbol_is_found_in_its_file():
    for name, file in files().items():
        symbols = [f"{file.package}.{message.name}" for message in file.message_type]
        symbols += [f"{file.package}.{service.name}" for service in file.service]
        symbols += [f"{file.package}.{service.name}.{method.name}" for service in file.service for method in service.method]
        for symbol in symbols:
            found = ask(file_containing_symbol=symbol).file_descriptor_response.file_descriptor_proto
            check(len(found) == 1 and descriptor_pb2.FileDescriptorProto.FromString(found[0]) == file, f"{symbol} in {name}")


def test_what_is_unknown_is_an_error():
    for choice in ({"file_by_filename": "nope.proto"}, {"file_containing_symbol": "inference.Nope"},
                   {"all_extension_numbers_of_type": "inference.Nope"},
                   {"file_containing_extension": {"containing_type": "inference.InferParameter", "extension_number": 1}}):
        error = ask(**choice).error_response
        check(error.error_code == 5 and error.error_message, f"{choice}: {error}")
    check(ask().error_response.error_code == 3, "no question is answered")


def test_metadata_is_read_by_kserves_message():
    metadata = grpc_predict_v2_pb2.ModelMetadataResponse.FromString(answers([])[0])
    found = [(t.name, t.datatype, list(t.shape)) for t in [*metadata.inputs, *metadata.outputs]]
    check(metadata.name == "dcnv2" and metadata.platform == "dcnv2", f"{metadata}")
    check(found == [("userid", "BYTES", [-1]), ("tags", "BYTES", [-1, -1]), ("price", "FP64", [-1]),
                    ("output-0", "FP32", [-1, 1])], f"{found}")


if __name__ == "__main__":
    harness.main(globals())
