"""Times flash-linear-attention's chunked kernels on the shapes of bench `lightning time`.

    python3 test/bench/cuda/lightning_peer.py

needs torch, triton and fla (the package flash-linear-attention); prints, for each shape, the median
milliseconds of the chunk and of the fused chunk kernel, and their relative error against the
recurrent form in float64.
"""

import statistics

import torch
from fla.ops.simple_gla import chunk_simple_gla, fused_chunk_simple_gla

HEADS, SIZE = 64, 128
SHAPES = ((1, 1024), (1, 8192), (1, 32768), (1, 131072), (8, 4096))


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


def reference(q, k, v, slopes):
    """out [B, T, H, D] in float64, from a state of zeros."""
    q, k, v = (x.double() for x in (q, k, v))
    decay = torch.exp(-slopes.double())[None, :, None, None]
    state = torch.zeros(q.shape[0], HEADS, SIZE, SIZE, dtype=torch.float64, device=q.device)
    rows = []
    for t in range(q.shape[1]):
        state = decay * state + k[:, t, :, :, None] * v[:, t, :, None, :]
        rows.append((q[:, t, :, None, :] @ state)[:, :, 0])
    return torch.stack(rows, dim=1)


def main():
    torch.manual_seed(0)
    print(torch.cuda.get_device_name(), "torch", torch.__version__, flush=True)
    slopes = torch.logspace(*(float(torch.log10(torch.tensor(x))) for x in (0.917, 1e-5)), HEADS)
    slopes = slopes.cuda()
    kernels = {"chunk": chunk_simple_gla, "fused": fused_chunk_simple_gla}
    q, k, v = (torch.randn(1, 1024, HEADS, SIZE, device="cuda").bfloat16() for _ in range(3))
    expected = reference(q, k, v, slopes)
    for name, kernel in kernels.items():
        out, _ = kernel(q, k, v, g_gamma=-slopes, scale=1.0, output_final_state=True)
        error = float((out.double() - expected).norm() / expected.norm())
        print(f"fla {name:6} B1 T1024 relative error {error:.2e}", flush=True)
    for batch, length in SHAPES:
        q, k, v = (
            torch.randn(batch, length, HEADS, SIZE, device="cuda", dtype=torch.bfloat16)
            for _ in range(3)
        )
        for name, kernel in kernels.items():
            ms = median_ms(
                lambda: kernel(q, k, v, g_gamma=-slopes, scale=1.0, output_final_state=True)
            )
            print(f"fla {name:6} B{batch} T{length:<7} {ms * 1e3:10.1f} us", flush=True)


if __name__ == "__main__":
    torch.inference_mode()(main)()
