# SPDX-License-Identifier: Apache-2.0
"""A writer of safetensors files (https://github.com/huggingface/safetensors, section Format)."""
import json
import struct

ALIGNMENT = 8


def write(path, tensors):
    """tensors: {name: float32 numpy array}, in the order of the file."""
    header, offset = {}, 0
    for name, array in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for array in tensors.values():
            file.write(array.astype("<f4", copy=False).tobytes())
