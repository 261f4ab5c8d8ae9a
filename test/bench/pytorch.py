#!/usr/bin/env python3
"""Prefill and decode of a model by Levin beside PyTorch + transformers, in one run.

    pytorch.py BIN FOLDER [--threads 2] [--prompt 2048] [--tokens 256] [--rounds 5]

BIN holds levin-compile and levin-run.  Needs torch, transformers and numpy; everything runs on the
same CPU with the same number of threads, float32 arithmetic on both sides, rounds interleaved,
medians.  Also compares the memory that the plan predicts with the peak that the process reached.
"""
import argparse
import json
import os
import pathlib
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time


def levin_generate(binary, artifact, folder, ids, tokens, threads):
    result = subprocess.run(
        [binary / "levin-run", "generate", artifact, "--weights", folder, "--threads", str(threads),
         "--ids", ",".join(map(str, ids)), "--max-tokens", str(tokens), "--ignore-eos", "--json"],
        check=True, capture_output=True, text=True)
    return json.loads(result.stdout)


def torch_times(model, torch, ids, tokens):
    prompt = torch.tensor([ids])
    with torch.no_grad():
        start = time.perf_counter()
        model(prompt)
        prefill = time.perf_counter() - start
        short = prompt[:, :16]
        start = time.perf_counter()
        model.generate(short, max_new_tokens=1, min_new_tokens=1, do_sample=False)
        first = time.perf_counter() - start
        start = time.perf_counter()
        model.generate(short, max_new_tokens=tokens + 1, min_new_tokens=tokens + 1, do_sample=False)
        decode = time.perf_counter() - start - first
    return len(ids) / prefill, tokens / decode


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=2048)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    import torch
    import transformers
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(arguments.threads)
    model = transformers.AutoModelForCausalLM.from_pretrained(arguments.folder, dtype=torch.float32)
    model.eval()
    vocabulary = json.loads((arguments.folder / "config.json").read_text())["vocab_size"]
    rng = random.Random(time.time_ns())
    ids = [rng.randrange(3, vocabulary) for _ in range(arguments.prompt)]
    with tempfile.TemporaryDirectory() as work:
        artifact = pathlib.Path(work) / "model.lvn"
        compile_command = [arguments.bin / "levin-compile", arguments.folder, "-o", artifact,
                           "--progress=off"]
        subprocess.run(compile_command, check=True)
        plan = json.loads(subprocess.run([*compile_command, "--plan-only", "--json"], check=True,
                                         capture_output=True, text=True).stdout)
        rows = {"prefill": ([], []), "decode": ([], [])}
        torch_times(model, torch, ids[:256], 8)
        for _ in range(arguments.rounds):
            prefill, decode = torch_times(model, torch, ids, arguments.tokens)
            long = levin_generate(arguments.bin, artifact, arguments.folder, ids, 1, arguments.threads)
            short = levin_generate(arguments.bin, artifact, arguments.folder, ids[:16],
                                   arguments.tokens + 1, arguments.threads)
            rows["prefill"][0].append(long["timing"]["prefill_tokens_per_second"])
            rows["prefill"][1].append(prefill)
            rows["decode"][0].append(short["timing"]["decode_tokens_per_second"])
            rows["decode"][1].append(decode)
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo")
                if line.startswith("model name")), platform.machine())
    print(f"{cpu}, {arguments.threads} threads; torch {torch.__version__}, "
          f"transformers {transformers.__version__}; {arguments.folder}")
    print(f"{'':8} {'levin tok/s':>12} {'torch tok/s':>12} {'ratio':>7}")
    for name, (ours, theirs) in rows.items():
        a, b = statistics.median(ours), statistics.median(theirs)
        print(f"{name:8} {a:12.0f} {b:12.0f} {a / b:6.2f}x")
    predicted, peak = plan["total_bytes"], long["memory"]["peak_bytes"]
    print(f"memory: predicted {predicted / 2**20:.1f} MiB, measured peak {peak / 2**20:.1f} MiB "
          f"(without pages of files), ratio {peak / predicted:.3f}")


if __name__ == "__main__":
    main()
