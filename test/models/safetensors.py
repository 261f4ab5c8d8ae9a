"""Reads safetensors files with nothing but the standard library."""
import array
import json
import struct

CODES = {"F32": "f", "F64": "d", "I32": "i", "I64": "q", "U8": "B"}


def read(path):
    """{name: (shape, flat array of values)} of a safetensors file."""
    with open(path, "rb") as file:
        blob = file.read()
    (length,) = struct.unpack("<Q", blob[:8])
    header = json.loads(blob[8:8 + length])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        values = array.array(CODES[entry["dtype"]])
        values.frombytes(blob[8 + length + begin:8 + length + end])
        tensors[name] = (entry["shape"], values)
    return tensors
