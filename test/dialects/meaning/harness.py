"""Runs ops on numbers: builds one program for many cases, compiles the decompositions with
levin-opt and mlir-runner, and compares what it prints with the reference."""

import math
import random
import re
import shlex
import struct
import subprocess
import sys

from reference import float32

POISON = float("nan")


def shape_of(value):
    return [len(value)] + shape_of(value[0]) if isinstance(value, list) else []


def flatten(value, width):
    if isinstance(value, list):
        return [x for part in value for x in flatten(part, width)]
    return [None] * width if value is None else [value]


def to_bfloat16(x):
    if x != x:
        return x
    bits = struct.unpack("<I", struct.pack("<f", x))[0]
    bits += 0x7FFF + ((bits >> 16) & 1)
    return struct.unpack("<f", struct.pack("<I", bits & 0xFFFF0000))[0]


def to_float16(x):
    return struct.unpack("<e", struct.pack("<e", x))[0]


ROUND = {"f32": float32, "bf16": to_bfloat16, "f16": to_float16, "i32": int}


class Numbers:
    """Random tensors, the same in every run."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def tensor(self, *shape, element="f32", low=-1.0, high=1.0):
        if len(shape) == 0:
            return ROUND[element](self.random.uniform(low, high))
        return [self.tensor(*shape[1:], element=element, low=low, high=high) for _ in range(shape[0])]


def literal(value, element):
    if isinstance(value, list):
        return "[" + ", ".join(literal(x, element) for x in value) + "]"
    if element == "i32":
        return str(value)
    if value != value:
        return {"f32": "0x7FC00000", "bf16": "0x7FC0", "f16": "0x7E00"}[element]
    return repr(float(value)) if "e" not in repr(float(value)) else "%.9e" % value


class Program:
    """Functions that print results, one for each case."""

    def __init__(self, levin_opt, to_llvm, runner):
        self.levin_opt, self.to_llvm, self.runner = levin_opt, to_llvm, runner
        self.functions, self.calls, self.cases = [], [], []

    def case(self, name, operands, op, expected, tolerance=1e-5):
        """`operands`: {name: (value, element)}; `op`: text with %name for operands that defines
        `%r0`, `%r1`, ..; `expected`: [(value, element)], None for what is unspecified."""
        number = len(self.cases)
        # Copies, since ops update operands in place.
        types, lines, arguments = {}, [], []
        for key, (value, element) in operands.items():
            types[key] = "tensor<%s>" % "x".join([str(n) for n in shape_of(value)] + [element])
            lines.append("  %%c_%s = arith.constant dense<%s> : %s" % (key, literal(value, element), types[key]))
            arguments.append(key)
        prints = []
        results = []
        for i, (shape, element) in enumerate([(e[2] if len(e) > 2 else shape_of(e[0]), e[1]) for e in expected]):
            type = "tensor<%s>" % "x".join([str(n) for n in shape] + [element])
            results.append(type)
            value = "%%v%d" % i
            if element in ("bf16", "f16"):
                wide = "tensor<%sxf32>" % "x".join(str(n) for n in shape)
                prints.append("  %%w%d = arith.extf %s : %s to %s" % (i, value, type, wide))
                value, type = "%%w%d" % i, wide
            kind = "I32" if element == "i32" else "F32"
            cast = "tensor<*x%s>" % kind.lower()
            prints.append("  %%p%d = tensor.cast %s : %s to %s" % (i, value, type, cast))
            prints.append("  call @printMemref%s(%%p%d) : (%s) -> ()" % (kind, i, cast))
        signature = ", ".join("%%%s: %s" % (key, types[key]) for key in arguments)
        body = op.strip() + "\n  return %s : %s" % (
            ", ".join("%%r%d" % i for i in range(len(results))), ", ".join(results))
        self.functions.append("func.func @op%d(%s) -> (%s) {\n  %s\n}" % (number, signature, ", ".join(results), body))
        call = "  %s = call @op%d(%s) : (%s) -> (%s)" % (
            ", ".join("%%v%d" % i for i in range(len(results))), number,
            ", ".join("%%c_%s" % key for key in arguments),
            ", ".join(types[key] for key in arguments), ", ".join(results))
        self.functions.append("func.func @case%d() {\n%s\n  return\n}" % (number, "\n".join(lines + [call] + prints)))
        self.calls.append("  call @case%d() : () -> ()" % number)
        self.cases.append((name, expected, tolerance))

    def text(self):
        return "\n".join(
            self.functions
            + ["func.func @main() {"] + self.calls + ["  return", "}",
               "func.func private @printMemrefF32(tensor<*xf32>)",
               "func.func private @printMemrefI32(tensor<*xi32>)"])

    def run(self):
        """Compares all cases and returns the number of failures."""
        passes = ["--levin-decompose", "--convert-elementwise-to-linalg"] + shlex.split(self.to_llvm)
        lowered = self.tool(shlex.split(self.levin_opt) + passes, self.text())
        output = self.tool(shlex.split(self.runner), lowered)
        tensors = [parse(part) for part in re.split(r"Unranked Memref[^\n]*data =", output)[1:]]
        failures = 0
        for name, expected, tolerance in self.cases:
            for i, entry in enumerate(expected):
                message = compare(tensors.pop(0), entry, tolerance)
                if message:
                    failures += 1
                    print("FAILED %s, result %d: %s" % (name, i, message))
        print("%d cases, %d failures" % (len(self.cases), failures))
        return failures

    def tool(self, command, text):
        done = subprocess.run(command, input=text, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit("%s failed:\n%s" % (" ".join(command), done.stderr[:4000]))
        return done.stdout


def parse(text):
    return [float(x) for x in re.findall(r"-?(?:nan|inf|[0-9.]+(?:e[-+]?[0-9]+)?)", text)]


def compare(actual, entry, tolerance):
    expected, element = entry[0], entry[1]
    shape = entry[2] if len(entry) > 2 else shape_of(expected)
    width = math.prod(shape[1:])
    wanted = flatten(expected, width)
    if len(actual) != len(wanted):
        return "%d elements, expected %d" % (len(actual), len(wanted))
    scale = max([1.0] + [abs(x) for x in wanted if x is not None and math.isfinite(x)])
    # printMemref shows six digits.
    allowed = {"f32": max(tolerance, 1e-5), "bf16": 2 ** -7, "f16": 2 ** -10, "i32": 0}[element] * scale
    for i, (a, b) in enumerate(zip(actual, wanted)):
        if b is None or (b != b and a != a) or a == b:
            continue
        if not abs(a - b) <= allowed:
            return "element %d is %r, expected %r" % (i, a, b)
    return None
