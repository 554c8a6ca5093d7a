#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of the fuzz targets to tests/fuzz/corpus/NAME: requests that were recorded,
small model files of tests/golden, and what the targets' own forms ask for (their head comments).
Files that are there already, such as those that a fuzzer has found, stay.

usage: tests/fuzz/make_corpus.py     after `make`
"""
import base64
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CORPUS = ROOT / "tests/fuzz/corpus"
FILE_MAX_BYTES = 20000
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/conformance")]
import grpc_expect
from samples import TRANSCRIPT, TWO, join_binary, pack_tensor, select, v2_binary, v2_document, v2_tensor

HOST = b"Host: h\r\n"
HTTP = {
    "get": b"GET /v1/models HTTP/1.1\r\n" + HOST + b"\r\n",
    "post": b"POST /v1/models/m:predict HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
            b"Content-Length: 13\r\n\r\n{\"inputs\":[]}",
    "chunks": b"POST /v2/models/m/infer HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n"
              b"Expect: 100-continue\r\n\r\n5;a=b\r\nhello\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nA: b\r\n\r\n",
    "pipeline": b"\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\nHEAD /metrics HTTP/1.1\r\n" + HOST + b"\r\n"
                b"GET http://h/v2/models/a%2fb/ready?x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "fields": b"PUT * HTTP/1.1\r\n" + HOST + b"Accept-Encoding: br;q=1, gzip;q=0.5, *;q=0\r\n"
              b"Content-Encoding: gzip\r\nContent-Type: multipart/x\r\nConnection: close, x\r\n"
              b"Inference-Header-Content-Length: 12\r\nX-\xc3\xa9: \t\xc3\xa9\r\n\r\n",
    "lengths": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 5\r\n"
               b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "old": b"POST /v1/models/%e6%b7%98:predict HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 0002\r\n\r\n{}",
    "overflow": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 184467440737095516150\r\n\r\n",
    "bad_length": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5, 5\r\n\r\n",
    "bad_coding": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "bad_version": b"GET / HTTP/2.0\r\n" + HOST + b"\r\n",
    "bad_name": b"GET / HTTP/1.1\r\n" + HOST + b"A : b\r\n\r\n",
    "bad_value": b"GET / HTTP/1.1\r\n" + HOST + b"A: \x01\r\n\r\n",
    "no_host": b"GET / HTTP/1.1\r\n\r\n",
    "bad_size": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n",
    "large_size": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    "bad_end": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n",
    "bad_extension": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5;\x01\r\nhello\r\n",
    "bad_trailer": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n c\r\n\r\n",
    "folded": b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n c\r\n\r\n",
    "line_feeds": b"GET / HTTP/1.1\nHost: h\n\n",
    "deflate": b"POST /v1/models/m:predict/ HTTP/1.1\r\n" + HOST + b"Content-Encoding: utf-8, deflate\r\n"
               b"Origin: http://h:8\r\nExpect: x, 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    "codings": b"POST /v2/models/m/infer HTTP/1.1\r\n" + HOST + b"Content-Encoding: gzip, deflate\r\n"
               b"Inference-Header-Content-Length: 5x\r\nContent-Type: multipart/x\r\n\r\n",
    "options": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\nOPTIONS /v1/models/m:predict/ HTTP/1.1\r\n" + HOST + b"\r\n"
               b"OPTIONS // HTTP/1.1\r\n" + HOST + b"\r\n",
    "tls": bytes.fromhex("1603010200010001fc0303"),
}


def write(target, name, data):
    if len(data) <= FILE_MAX_BYTES:
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        (CORPUS / target / name).write_bytes(data)


def packed_bodies():
    """(name, packed) of gzip and deflate, good and bad; the first byte says which coding is meant."""
    text = b'{"inputs":[{"userid":["884208","1076167"],"price":[0.1474,null]}]}'
    for name, window in (("gzip", 31), ("zlib", 15), ("zlib_small_window", 9), ("raw", -15)):
        for level in (0, 6):
            packer = zlib.compressobj(level, zlib.DEFLATED, window)
            packed = packer.compress(text) + packer.flush()
            yield f"{name}_{level}", packed
        yield f"{name}_cut", packed[:-3]
        yield f"{name}_twice", packed + packed
        yield f"{name}_bit", packed[:9] + bytes([packed[9] ^ 8]) + packed[10:]
    packer = zlib.compressobj(9, zlib.DEFLATED, 15)
    yield "bomb", packer.compress(b" " * 100000) + packer.flush()
    packer = zlib.compressobj(zdict=text)
    yield "dictionary", packer.compress(text) + packer.flush()


def recorded():
    """(version, name, body, bytes behind its JSON) of each recorded prediction."""
    for record in map(json.loads, TRANSCRIPT.read_text().splitlines()):
        name = "".join(c if c.isalnum() else "_" for c in record["name"])
        request = record["request"]
        body = request.get("body") or {}
        data = base64.b64decode(body["base64"]) if "base64" in body else body.get("text", "").encode()
        headers = {name.lower(): value for name, value in dict(request.get("headers") or {}).items()}
        length = str(headers.get("inference-header-content-length"))
        n_binary = max(0, len(data) - int(length)) if length.isdigit() else 0
        if request["path"].endswith((":predict", "/infer")):
            yield request["path"][1:3], name, data, n_binary


def write_requests():
    for version, name, data, n_binary in recorded():
        if len(data) > 3000:
            continue
        write(version, name, data if version == "v1" else struct.pack("<H", n_binary) + data)
    for n in (1, 2):
        columns = {name: values for name, values in select(TWO, range(n)).items()
                   if name in ("userid", "brand", "price")}
        for datatype in ("FP64", "FP32", "FP16", "INT32", "UINT8", "BOOL"):
            values = columns["price"] if datatype.startswith("FP") else [1] * n
            body, headers = v2_binary({**columns, "price": values}, {"price": datatype})
            write("v2", f"binary_{datatype.lower()}_{n}", struct.pack("<H", len(body) - int(headers[0][1])) + body)


def write_content_types():
    """Tensors whose content_type stands before, behind, or twice around their values."""
    rest = v2_document({name: values for name, values in select(TWO, [0]).items() if name in ("brand", "price")})
    values = [base64.b64encode(text).decode() for text in (b"884208", b"4", b"42", "淘宝".encode(), b"\xFF")]
    for n, value in enumerate([*values, "MQ", "M===", "NB==", "-_-_"]):
        tensor = v2_tensor("userid", [value])
        said = {"parameters": {"content_type": "base64"}}
        first = {"name": tensor["name"], "shape": [1], "datatype": "BYTES", **said, "data": [value]}
        for place, told in (("before", first), ("behind", {**tensor, **said})):
            write("v2", f"base64_{place}_{n}", b"\0\0" + json.dumps({"inputs": [told, *rest["inputs"]]}).encode())
        packed = pack_tensor([value], "BYTES")
        binary = {"name": "userid", "shape": [1], "datatype": "BYTES",
                  "parameters": {"content_type": "base64", "binary_data_size": len(packed)}}
        body, _ = join_binary({"inputs": [binary, *rest["inputs"]]}, packed)
        write("v2", f"base64_binary_{n}", struct.pack("<H", len(packed)) + body)
    for name in ("str", "np", "pd", "datetime", None, 1):
        tensor = {**v2_tensor("userid", ["MQ=="]), "parameters": {"content_type": name}}
        write("v2", f"content_type_{name or 'none'}", b"\0\0" + json.dumps({"inputs": [tensor, *rest["inputs"]]}).encode())
    for n, value in enumerate((127, 128, -129, 2**63, -1, 10**40)):
        for datatype in ("INT8", "INT64", "UINT64"):
            document = {"inputs": [v2_tensor("userid", [value], datatype), *rest["inputs"]]}
            write("v2", f"integer_{datatype.lower()}_{n}", b"\0\0" + json.dumps(document).encode())


def write_lists():
    """Brand as a column of lists: the targets read each input with and without one."""
    for n, value in enumerate((["1", "2"], [["1", "2"], ["3"]], [["1"], None, "2|3", []], [], [[]], [[["1"]]], [{}],
                               "1|2", [1, None, 2.5, True])):
        for price in (1, [1, 2]):
            instance = {"userid": "4", "brand": value, "price": price}
            write("v1", f"list_{n}_{isinstance(price, list):d}", json.dumps({"instances": [instance, instance]}).encode())
    rest = [v2_tensor("userid", ["1", "2"]), v2_tensor("price", [1, 2], "FP64")]
    for n, (shape, data) in enumerate((([2, 2], ["1", "2", "3", ""]), ([2, 2], [["1", "2"], ["3", None]]), ([2], ["1|2", ""]),
                                       ([2, 1], [["1"], ["2"]]), ([2, 2], [["1"], ["2", "3"]]), ([2, 0], []),
                                       ([2, 2], ["1", ["2", "3"], "4"]), ([2, 2, 1], ["1", "2", "3", "4"]))):
        tensor = {"name": "brand", "shape": shape, "datatype": "BYTES", "data": data}
        behind = {key: tensor[key] for key in ("data", "shape", "datatype", "name")}
        for place, told in (("first", tensor), ("behind", behind)):
            write("v2", f"list_{place}_{n}", b"\0\0" + json.dumps({"inputs": [told, *rest]}).encode())
    packed = pack_tensor(["1", "2", "", "3"], "BYTES")
    tensor = {"name": "brand", "shape": [2, 2], "datatype": "BYTES", "parameters": {"binary_data_size": len(packed)}}
    body, _ = join_binary({"inputs": [tensor, *rest]}, packed)
    write("v2", "list_binary", struct.pack("<H", len(packed)) + body)


def field(number, data):
    return grpc_expect.varint(number << 3 | grpc_expect.BYTES) + grpc_expect.varint(len(data)) + data


def write_grpc():
    """Recorded messages, and of brand as a column of lists those that a client would send."""
    lines = (ROOT / "tests/conformance/data/kserve-grpc.jsonl").read_text(encoding="utf-8").splitlines()
    seen = set()
    for exchange in map(json.loads, lines):
        for n, message in enumerate(grpc_expect.messages(exchange)):
            if len(message) < 3000 and message not in seen:
                seen.add(message)
                write("grpc", f"{''.join(c if c.isalnum() else '_' for c in exchange['name'])}_{n}", message)
    texts = field(8, b"1") + field(8, b"2")
    rest = b"".join(field(5, field(1, name) + field(2, b"BYTES") + field(3, b"\2") + field(5, texts)) for name in (b"userid", b"price"))
    for n, (shape, values) in enumerate(((b"\2\2", texts + texts), (b"\2", texts), (b"\2\2", texts), (b"\2\0", b""), (b"\2\1", texts))):
        brand = field(1, b"brand") + field(2, b"BYTES") + field(3, shape) + field(5, values)
        write("grpc", f"list_{n}", field(5, brand) + rest)
    write("grpc", "prefix", b"\1\0\0\1\0rest")


def write_model_files():
    golden = ROOT / "tests/golden"
    files = {path: path.name for path in sorted((golden / "format").glob("*.p*"))}
    files |= {path: path.parent.name + path.suffix for path in sorted((golden / "files").glob("*/*.p*"))}
    for path, name in files.items():
        if path.suffix == ".pkl":
            write("sklearn_file", name, path.read_bytes())
        elif path.read_bytes()[8:9] == b"{":
            write("safetensors", name, path.read_bytes())
        else:
            write("torch_file", name, path.read_bytes())
        has_checksums = path.parent.name != "nocrc"
        if path.suffix == ".pth" and has_checksums and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for entry in archive.namelist():
                    if entry.endswith("data.pkl"):
                        write("torch_file", name.removesuffix(".pth") + ".data_pkl", archive.read(entry))


def table_of(data):
    """The first column's hash table of a converted file, as fuzz_vocabulary.c takes it."""
    start = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:start])

    def part(name):
        first, end = header["vocabulary.0." + name]["data_offsets"]
        return data[start + first:start + end]
    digits = header["__metadata__"]["hash_seed"]
    seed = struct.pack("<4Q", *(int(digits[i:i + 16], 16) for i in range(0, 64, 16)))
    n_slots = len(part("slots")) // 16
    return seed + struct.pack("<HH", len(part("offsets")) // 4 - 1, n_slots) + part("slots") + part("text")


def write_converted():
    """What dcnv2-convert makes of the smallest models whose encoder file names the columns. Those of version 1, by
    the program of that time, stay (tests/unit/model/test_converted.c reads them as well)."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "model.safetensors"
        for name in ("deep_narrow", "linear", "one_number", "norm_1", "views"):
            path = ROOT / "tests/golden/network" / name
            subprocess.run([ROOT / "build/bin/dcnv2-convert", "--model-path", path.with_suffix(".pth"),
                            "--encoder-path", path.with_suffix(".pkl"), "-o", out], check=True)
            write("safetensors", name + ".safetensors", out.read_bytes())
            write("vocabulary", name, table_of(out.read_bytes()))


def write_descriptions():
    """The model.json of each reference model, with vocabularies in place: a target reads no other file."""
    for path in sorted((ROOT / "tests/golden/models").glob("*/*/model.json")):
        model = json.loads(path.read_text(encoding="utf-8"))
        for i, name in enumerate(model.get("vocabularies", {})):
            values = ["-1", "0", name] if i % 2 == 0 else {"0": 3, "-1": 1 + i % 4, name: 1}
            model["vocabularies"][name] = {"values": values}
        text = json.dumps(model, ensure_ascii=False, separators=(",", ":"))
        write("model_json", f"{path.parent.parent.name}_{path.parent.name}", text.encode())


YAML = {
    "collections": b"Base: {root: ./data/, none: null}\nrun:\n  units: [64, 32]\n  list:\n  - GELU\n  - 'ReLU'\n  rate: 1.0e-2\n",
    "alias": b"a: &x [1]\nb: *x\n",
    "tag": b"a: !!python/object/apply:os.system [x]\n",
    "texts": b"a: |\n  x\n  y\nb: >-\n  z\n\"c\\u00e9\": '~'\n? [d]\n: 1\n",
    "two": b"%YAML 1.1\n---\na: 1\n...\n---\nb: 2\n",
}


def write_folders():
    """FuxiCTR's files."""
    for path in sorted((ROOT / "tests/golden/fuxictr").glob("*/feature_processor.pkl")):
        write("fuxictr_file", path.parent.name, path.read_bytes())
    for path in sorted((ROOT / "tests/golden/fuxictr").glob("*/model_config.yaml")):
        write("yaml_tree", path.parent.name, path.read_bytes())
    for name, data in YAML.items():
        write("yaml_tree", name, data)


def main():
    for name, data in HTTP.items():
        for piece in (1, 40):
            write("http", f"{name}_{piece}", bytes([piece]) + data)
    for name, packed in packed_bodies():
        write("inflate", name, bytes([name.startswith("gzip")]) + packed)
    write_requests()
    write_content_types()
    write_lists()
    write_grpc()
    write_model_files()
    write_converted()
    write_descriptions()
    write_folders()
    total = sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file())
    print(f"{total} bytes below {CORPUS.relative_to(ROOT)}")


main()
