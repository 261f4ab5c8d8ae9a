"""Times PyTorch's attention on the shapes of bench `attention`.

    python3 test/bench/cuda/attention_peer.py [prefill] [decode]

needs torch.  Prefill: causal scaled_dot_product_attention of 64 heads over 8 KV heads by each
backend that takes it; TFLOP/s of the causal half.  Decode: one new token over a contiguous cache,
by SDPA and by compiled flex_attention over the same keys; TB/s of the cache read once.  Medians.
"""

import statistics
import sys

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention as attend

HEADS, GROUPS, SIZE = 64, 8, 128


def median_ms(run, warmups=5, runs=20):
    """Median milliseconds of `run()` between device events."""
    for _ in range(warmups):
        run()
    times = []
    for _ in range(runs):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        run()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


def normal(*shape):
    return torch.randn(*shape, device="cuda", dtype=torch.bfloat16)


def time_prefill():
    for length in (1024, 8192, 32768):
        q = normal(1, HEADS, length, SIZE)
        k, v = (normal(1, GROUPS, length, SIZE) for _ in range(2))
        flops = 4 * 0.5 * length * (length + 1) * HEADS * SIZE
        for backend in (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION):
            try:
                with sdpa_kernel(backend):
                    ms = median_ms(lambda: attend(q, k, v, is_causal=True, enable_gqa=True), 3, 10)
            except RuntimeError as error:
                reason = str(error).splitlines()[0]
                print(f"prefill {backend.name} T {length}: {reason}", flush=True)
                continue
            rate = flops / ms / 1e9
            print(f"prefill {backend.name} T {length}: {ms:.3f} ms {rate:.0f} TFLOP/s", flush=True)


def time_decode():
    from torch.nn.attention.flex_attention import flex_attention

    flex = torch.compile(flex_attention, dynamic=False)
    for context in (4096, 65536):
        for batch in (1, 4, 32):
            q = normal(batch, HEADS, 1, SIZE)
            k, v = (normal(batch, GROUPS, context, SIZE) for _ in range(2))
            size = 2 * k.numel() * k.element_size()
            runs = {
                "SDPA": lambda: attend(q, k, v, enable_gqa=True),
                "flex": lambda: flex(q, k, v, enable_gqa=True),
            }
            for name, run in runs.items():
                try:
                    ms = median_ms(run, 3, 10)
                except Exception as error:  # whatever the compiler of flex_attention raises
                    reason = str(error).splitlines()[0]
                    print(f"decode {name} B {batch} context {context}: {reason}", flush=True)
                    continue
                print(
                    f"decode {name} B {batch} context {context}: {ms * 1e3:.1f} us "
                    f"{size / ms / 1e9:.2f} TB/s",
                    flush=True,
                )


def main():
    torch.manual_seed(0)
    print(torch.cuda.get_device_name(), "torch", torch.__version__, flush=True)
    asked = sys.argv[1:] or ["prefill", "decode"]
    if "prefill" in asked:
        time_prefill()
    if "decode" in asked:
        time_decode()


if __name__ == "__main__":
    main()
