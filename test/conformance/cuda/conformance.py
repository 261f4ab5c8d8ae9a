#!/usr/bin/env python3
"""Compiles the conformance cases for GPUs into one folder, which needs no compiler to be run.

    conformance.py BIN OUT [--small] [--seed N] [--only TEXT] [--targets host,cuda]

BIN holds levin-compile.  OUT/cases.txt lists pairs of artifacts, the definition on the host first:

    levin-run compare --cases OUT/cases.txt

Targets: `host` pairs the definition with the host's own kernels, `cuda` with the kernels of the
GPU, templates and generic ones.  Weights are random by the seed, which is printed.
"""
import argparse
import concurrent.futures
import pathlib
import random
import shutil
import subprocess
import sys

import cases

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent.parent
# Whole models: folder, buckets.
MODELS = {
    "tiny-python": ("models/tiny-python", "1,4x4x4,9x3x9,64x4x64,200x4x200"),
    **{name: (f"test/models/generated/{name}", "1,4x4x4,9x3x9,65x4x65")
       for name in ("plain", "odd", "alibi", "tied", "grouped", "wide")},
    "ref_a": ("test/models/minimax/ref_a", "1,4x4x4,65x4x65"),
    "ref_text01": ("test/models/minimax/ref_text01", "1,4x4x4,65x4x65"),
}
# What a whole model in bf16 may differ from itself in bf16: the roundings of all its layers, and
# a token now and then that another expert is chosen for.
MODEL_TOLERANCE = {"f32": 5e-5, "bf16": 2e-2, "mixed": 2e-2}


# How tensors are stored: between kernels, in caches, and weights.
KINDS = {"f32": ("--activations", "f32"), "bf16": ("--activations", "bf16"),
         "f8": ("--activations", "bf16", "--kv-type", "f8"),
         "int8": ("--activations", "bf16", "--quant", "experts=int8"),
         "int4": ("--activations", "bf16", "--quant", "experts=int4g64"),
         "mixed": ("--activations", "bf16", "--quant", "experts=int4,attn=int8")}


class Compiler:
    def __init__(self, arguments):
        self.bin, self.out, self.targets = arguments.bin, arguments.out, arguments.targets.split(",")
        self.work, self.lines = [], []

    def add(self, name, source, options, kinds, tolerances, padding):
        """Plans the artifacts of one case, OUT/name/*.lvn, and the lines that pair them."""
        def artifact(kind, *more):
            path = f"{name}/{kind}.lvn"
            self.work.append((path, [self.bin / "levin-compile", source, "-o", self.out / path,
                                     "--quiet", *options, *more]))
            return path

        for kind in kinds:
            stored = KINDS[kind]
            meaning = artifact(f"{kind}-meaning", "--target", "host", "--kernels", "generic", *stored)
            others = []
            if "host" in self.targets:
                others.append(("host", artifact(f"{kind}-host", "--target", "host", *stored)))
            if "cuda" in self.targets:
                others.append(("cuda", artifact(f"{kind}-cuda", "--target", "cuda", *stored)))
                others.append(("generic", artifact(f"{kind}-generic", "--target", "cuda",
                                                   "--kernels", "generic", *stored)))
            for label, other in others:
                self.lines.append(f"{name}/{kind}-{label} {meaning} {other} {tolerances[kind]} {padding}")

    def run(self, jobs):
        """Compiles everything; prints what failed.  The number of failures."""
        def one(item):
            result = subprocess.run([str(c) for c in item[1]], capture_output=True, text=True,
                                    stdin=subprocess.DEVNULL)
            return item[0], result.returncode, " ".join(map(str, item[1])), result.stderr

        failures = 0
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for path, code, command, text in pool.map(one, self.work):
                if code != 0:
                    failures += 1
                    print(f"FAILED {path}: exit {code}\n  {command}\n{text}")
                else:
                    print(f"ok     {path}", flush=True)
        return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--small", action="store_true", help="a few of every kind, and no model")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--targets", default="cuda")
    parser.add_argument("--kinds", default=",".join(KINDS), help="how tensors are stored")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--run", action="store_true", help="also compare, with BIN/levin-run")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    print(f"seed {arguments.seed}")
    wanted = arguments.kinds.split(",")
    compiler = Compiler(arguments)
    for case in cases.sources(arguments.seed, arguments.small):
        if arguments.only not in case.name:
            continue
        folder = arguments.out / case.name
        folder.mkdir(exist_ok=True)
        source = folder / f"{case.name}.mlir"
        source.write_text(case.text)
        if case.weights:
            (folder / "table.safetensors").write_bytes(case.weights)
        kinds = [kind for kind in case.kinds if kind in wanted]
        bounds = {kind: cases.TOLERANCE[key] for kind, key in case.kinds.items()}
        compiler.add(case.name, source, case.options, kinds, bounds, case.padding_id)
    for name, (folder, buckets) in {} if arguments.small else MODELS.items():
        if arguments.only not in name:
            continue
        (arguments.out / name).mkdir(exist_ok=True)
        for file in (ROOT / folder).glob("model*.safetensors"):
            shutil.copy(file, arguments.out / name)
        compiler.add(name, ROOT / folder,
                     ("--buckets", buckets, "--slots", "4", "--max-context", "512"),
                     [kind for kind in MODEL_TOLERANCE if kind in wanted], MODEL_TOLERANCE, 0)
    failures = compiler.run(arguments.jobs)
    for link in arguments.out.glob("*/*.weights"):
        link.unlink() # the weights lie beside the artifact
    (arguments.out / "cases.txt").write_text("".join(line + "\n" for line in compiler.lines))
    print(f"{len(compiler.work) - failures} passed, {failures} failed")
    if arguments.run and not failures:
        return subprocess.run([arguments.bin / "levin-run", "compare", "--cases",
                               arguments.out / "cases.txt", "--seed", str(arguments.seed)]).returncode
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
