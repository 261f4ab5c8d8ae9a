#!/usr/bin/env python3
"""Times of PyTorch's products on the shapes of gemm.cu: torch._grouped_mm and torch.matmul.

Run on the same machine right before or after `gemm time`.
"""
import statistics

import torch


def median_ms(run, runs=15):
    for _ in range(3):
        run()
    times = []
    for _ in range(runs):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        run()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


def report(name, ms, flops, size):
    print(f"{name:44s} {ms:8.4f} ms {flops / ms * 1e-9:6.1f} TFLOP/s {size / ms * 1e-9:5.2f} TB/s",
          flush=True)


def grouped(tokens, weights):
    experts, inner, hidden = 32, 9216, 6144
    w13 = weights.view(experts, 2 * inner, hidden)
    w2 = weights[: experts * inner * hidden].view(experts, hidden, inner)
    for count in (64, 256, 1024, 8192):
        choice = torch.rand(count, experts, device="cuda").topk(2, dim=1).indices
        sizes = torch.bincount(choice.flatten(), minlength=experts)
        offsets = torch.cumsum(sizes, 0).to(torch.int32)
        rows = 2 * count
        x = tokens[: rows * hidden].view(rows, hidden)
        y = tokens[: rows * inner].view(rows, inner)
        size = 2 * experts * 2 * inner * hidden + 2 * rows * (hidden + inner)

        def swiglu():
            both = torch._grouped_mm(x, w13.transpose(1, 2), offs=offsets)
            gate, up = both.chunk(2, dim=1)
            return torch.nn.functional.silu(gate) * up

        report(f"T {count} grouped w13",
               median_ms(lambda: torch._grouped_mm(x, w13.transpose(1, 2), offs=offsets)),
               2 * rows * 2 * inner * hidden, size)
        report(f"T {count} grouped w13 and swiglu", median_ms(swiglu),
               2 * rows * 2 * inner * hidden, size)
        report(f"T {count} grouped w2",
               median_ms(lambda: torch._grouped_mm(y, w2.transpose(1, 2), offs=offsets)),
               2 * rows * inner * hidden, size // 2)


def dense(tokens, weights):
    for n, k in ((8192, 6144), (24576, 6144), (6144, 8192)):
        for rows in (32, 64, 128, 512, 1024, 2048, 8192):
            x = tokens[: rows * k].view(rows, k)
            copies = [weights[i * n * k:(i + 1) * n * k].view(n, k) for i in range(8)]
            state = [0]

            def run():
                state[0] = (state[0] + 1) % 8
                return x @ copies[state[0]].t()

            report(f"dense {rows} x {n} x {k}", median_ms(run), 2 * rows * n * k,
                   2 * (n * k + rows * (n + k)))


def main():
    print(torch.cuda.get_device_name(), torch.__version__)
    weights = torch.empty(2 * 32 * 9216 * 6144, device="cuda", dtype=torch.bfloat16)
    weights.normal_(0, 0.0125)
    tokens = torch.randn(16384 * 9216, device="cuda").to(torch.bfloat16)
    grouped(tokens, weights)
    dense(tokens, weights)


if __name__ == "__main__":
    main()
