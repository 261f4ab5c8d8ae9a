#!/usr/bin/env python3
"""Products of gemm.cu against PyTorch's (cuBLAS and torch._grouped_mm), run by run in turn.

    nvcc -shared -Xcompiler -fPIC (and the options of gemm.cu) -o libgemm.so test/bench/cuda/gemm.cu
    python3 gemm_peer.py libgemm.so [another.so ..]

The card's power limit decides how fast long products are, so that only times taken in turn compare.
"""
import ctypes
import statistics
import sys

import torch

EXPERTS, INNER, HIDDEN = 32, 9216, 6144


def alternate(name, candidates, flops, size, runs=12):
    """Median times of the candidates, one run of each after the other."""
    times = {label: [] for label in candidates}
    for i in range(runs + 2):
        for label, run in candidates.items():
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            run()
            end.record()
            end.synchronize()
            if i >= 2:
                times[label].append(begin.elapsed_time(end))
    for label, values in times.items():
        ms = statistics.median(values)
        print(f"{name:28s} {label:32s} {ms:8.4f} ms {flops / ms * 1e-9:6.1f} TFLOP/s "
              f"{size / ms * 1e-9:5.2f} TB/s", flush=True)


def product(library, shape, tokens, first, second, offsets, experts, rows, n, k, tile, out):
    pointers = [ctypes.c_void_p(x.data_ptr() if x is not None else 0)
                for x in (tokens, first, second, offsets)]

    def run():
        if library.gemmRun(*shape, *pointers, experts, rows, n, k, tile,
                           ctypes.c_void_p(out.data_ptr())):
            raise ValueError(f"no such shape: {shape}")

    return run


def grouped(libraries, tokens, weights, count):
    w13 = weights.view(EXPERTS, 2 * INNER, HIDDEN)
    w1, w3 = weights.view(2, -1)
    choice = torch.rand(count, EXPERTS, device="cuda").topk(2, dim=1).indices
    sizes = torch.bincount(choice.flatten(), minlength=EXPERTS)
    ends = torch.cumsum(sizes, 0).to(torch.int32)
    offsets = torch.cat([torch.zeros(1, device="cuda", dtype=torch.int32), ends])
    rows = 2 * count
    x, y = tokens[: rows * HIDDEN].view(rows, HIDDEN), tokens[: rows * INNER].view(rows, INNER)
    w2 = w1.view(EXPERTS, HIDDEN, INNER)
    out = torch.empty(rows * 2 * INNER, device="cuda", dtype=torch.bfloat16)

    def swiglu():
        gate, up = torch._grouped_mm(x, w13.transpose(1, 2), offs=ends).chunk(2, dim=1)
        return torch.nn.functional.silu(gate) * up

    gated = {"torch swiglu": swiglu,
             "torch products alone": lambda: torch._grouped_mm(x, w13.transpose(1, 2), offs=ends)}
    second = {"torch": lambda: torch._grouped_mm(y, w2.transpose(1, 2), offs=ends)}
    tile = 256 if count > 4096 else 128 if count > 512 else 16
    shape = (1, tile, 2 if tile > 64 else 1)
    for path, library in libraries.items():
        gated[f"{path} {tile}"] = product(library, shape, x, w1, w3, offsets, EXPERTS, rows, INNER,
                                          HIDDEN, tile, out)
        if tile == 256:
            second[f"{path} {tile}"] = product(library, (0, tile, 2), y, w1, w1, offsets, EXPERTS,
                                               rows, HIDDEN, INNER, tile, out)
    size = 2 * EXPERTS * 2 * INNER * HIDDEN + 2 * rows * (HIDDEN + INNER)
    alternate(f"T {count} grouped w13", gated, 4 * rows * INNER * HIDDEN, size)
    if tile == 256:
        alternate(f"T {count} grouped w2", second, 2 * rows * INNER * HIDDEN, size / 2)


def dense(libraries, tokens, weights, rows, n, k):
    x, w = tokens[: rows * k].view(rows, k), weights[: n * k].view(n, k)
    out = torch.empty(rows * n, device="cuda", dtype=torch.bfloat16)
    candidates = {"torch": lambda: x @ w.t()}
    for path, library in libraries.items():
        for cluster in (2, 1):
            candidates[f"{path} 256 cluster {cluster}"] = product(
                library, (0, 256, cluster), x, w, w, None, 1, rows, n, k, 256, out)
    alternate(f"{rows} x {n} x {k}", candidates, 2 * rows * n * k, 2 * (n * k + rows * (n + k)))


def main():
    print(torch.cuda.get_device_name(), torch.__version__)
    libraries = {path: ctypes.CDLL(path if "/" in path else "./" + path) for path in sys.argv[1:]}
    weights = torch.empty(2 * EXPERTS * INNER * HIDDEN, device="cuda", dtype=torch.bfloat16)
    weights.normal_(0, 0.0125)
    tokens = torch.randn(16384 * INNER, device="cuda").to(torch.bfloat16)
    for count in (8192, 1024, 64):
        grouped(libraries, tokens, weights, count)
    for n, k in ((8192, 6144), (24576, 6144), (6144, 8192)):
        dense(libraries, tokens, weights, 8192, n, k)


if __name__ == "__main__":
    main()
