#!/usr/bin/env python3
"""The eight layers of test/bench/text01_8 by transformers' eager MiniMax, on a GPU of 140 GB.

    test/bench/cuda/text01_peer.py [--tokens 8192] [--steps 20]

Prints the median time of a prefill and of a decode step of one sequence that holds it.  Compare
with `levin-bench text01_8.lvn --random-weights 1 -p 8192 -n 32 -d 0,8192` in the same session.
Weights are random; needs torch and transformers.
"""
import argparse
import json
import pathlib
import statistics

import torch
import transformers
from transformers.models.minimax import MiniMaxConfig, MiniMaxForCausalLM

parser = argparse.ArgumentParser()
parser.add_argument("--tokens", type=int, default=8192)
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--repetitions", type=int, default=3)
arguments = parser.parse_args()
transformers.logging.set_verbosity_error()

folder = pathlib.Path(__file__).resolve().parent.parent / "text01_8"
given = json.loads((folder / "config.json").read_text())
kinds = {0: "linear_attention", 1: "full_attention"}
config = MiniMaxConfig(
    vocab_size=given["vocab_size"], hidden_size=given["hidden_size"],
    intermediate_size=given["intermediate_size"], num_hidden_layers=given["num_hidden_layers"],
    num_attention_heads=given["num_attention_heads"],
    num_key_value_heads=given["num_key_value_heads"], head_dim=given["head_dim"],
    num_local_experts=given["num_local_experts"],
    num_experts_per_tok=given["num_experts_per_tok"], max_position_embeddings=32768,
    layer_types=[kinds[kind] for kind in given["attn_type_list"]], tie_word_embeddings=False,
    bos_token_id=None, eos_token_id=None)
torch.set_default_dtype(torch.bfloat16)
torch.manual_seed(1)
with torch.device("cuda"):
    model = MiniMaxForCausalLM(config).eval()
print(f"{sum(p.numel() for p in model.parameters()) / 1e9:.1f} G parameters on "
      f"{torch.cuda.get_device_name()}, torch {torch.__version__}, "
      f"transformers {transformers.__version__}", flush=True)


def milliseconds(function):
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    result = function()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end), result


with torch.no_grad():
    ids = torch.randint(0, config.vocab_size, (1, arguments.tokens), device="cuda")
    times = []
    for _ in range(arguments.repetitions + 1):
        time, output = milliseconds(lambda: model(ids, use_cache=True, logits_to_keep=1))
        times.append(time)
    print(f"prefill of {arguments.tokens}: {statistics.median(times[1:]):.1f} ms", flush=True)
    cache = getattr(output, "past_key_values", None)
    name = "past_key_values"
    if cache is None:
        cache, name = output.cache, "cache"
    token, times = ids[:, :1], []
    for _ in range(arguments.steps + 3):
        time, _ = milliseconds(lambda: model(token, use_cache=True, **{name: cache}))
        times.append(time)
    print(f"decode after {arguments.tokens}: {statistics.median(times[3:]):.2f} ms", flush=True)
