"""Writes a safetensors file of zeros: make_weights.py FILE NAME:DTYPE:AxB .."""

import json
import sys

BYTES = {"F32": 4, "BF16": 2, "F16": 2, "I32": 4}

header, offset = {}, 0
for spec in sys.argv[2:]:
    name, dtype, shape = spec.split(":")
    extents = [int(extent) for extent in shape.split("x")]
    size = BYTES[dtype]
    for extent in extents:
        size *= extent
    header[name] = {"dtype": dtype, "shape": extents, "data_offsets": [offset, offset + size]}
    offset += size
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open(sys.argv[1], "wb") as file:
    file.write(len(text).to_bytes(8, "little") + text + b"\0" * offset)
