#!/usr/bin/env python3
"""Makes small random models of the MiniMax-01 architecture with golden data from the oracle.

    generate.py --stored             make the folders of test/models/generated again
    generate.py --random SEED FOLDER make one model of random geometry

Run by hand; needs numpy.  A folder holds config.json, weights and golden.safetensors with
`ids_N`, `logits_N` (the last 8 positions at most) and `gen_N` (greedy tokens after them) for each
length N.  Inputs are drawn again until no routing decision and no greedy token is a near tie, so
that float32 must give the same ones.
"""
import argparse
import json
import pathlib
import struct
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "minimax"))
from oracle import Oracle, check  # noqa: E402

LENGTHS = (1, 31, 32, 33, 255, 256, 257, 1000)
GREEDY = 8
ROUTE_MARGIN, TOKEN_MARGIN = 1e-5, 1e-3  # of logits; float32 errs by some 1e-6

# name: dialect, mixers (L lightning, S softmax), hidden, heads, KV heads, head size, expert width,
# experts, choices, vocabulary, rotary width (None: all), type, files, further keys
STORED = {
    "plain": dict(dialect="minimax", mixers="LS", d=48, H=4, G=4, D=16, F=32, E=2, k=1, V=64,
                  R=None, dtype="F32", files=1),
    "odd": dict(dialect="minimax_text_01", mixers="LLS", d=33, H=2, G=1, D=24, F=29, E=5, k=3,
                V=101, R=8, dtype="BF16", files=2),
    "alibi": dict(dialect="minimax_text_01", mixers="LSL", d=40, H=6, G=3, D=16, F=24, E=3, k=2,
                  V=72, R=16, dtype="F32", files=3),
    "tied": dict(dialect="minimax", mixers="LLS", d=64, H=2, G=1, D=64, F=32, E=8, k=4, V=128,
                 R=None, dtype="F16", files=1, tied=True),
    "grouped": dict(dialect="minimax", mixers="SLS", d=40, H=8, G=1, D=32, F=16, E=32, k=2, V=96,
                    R=16, dtype="BF16", files=1, absent_types=True),
    "wide": dict(dialect="minimax_text_01", mixers="LS", d=64, H=2, G=2, D=128, F=48, E=4, k=2,
                 V=80, R=64, dtype="BF16", files=2),
}


def random_geometry(rng):
    pick = lambda *values: values[rng.integers(len(values))]
    heads, experts = int(pick(1, 2, 4, 6, 8)), int(rng.integers(2, 33))
    size, dialect = int(pick(16, 24, 32, 64, 96, 128)), pick("minimax", "minimax_text_01")
    return dict(
        dialect=dialect, mixers=pick("LS", "SL", "LLS", "LSL", "SLL"), d=int(rng.integers(24, 97)),
        H=heads, G=int(pick(*[g for g in range(1, heads + 1) if heads % g == 0])), D=size,
        F=int(rng.integers(16, 65)), E=experts, k=int(rng.integers(1, min(4, experts) + 1)),
        V=int(rng.integers(64, 129)), R=pick(None, size // 2 // 2 * 2, size),
        dtype=pick("F32", "BF16", "F16"), files=int(pick(1, 2, 3)), tied=bool(pick(False, True)))


def configuration(g):
    config = {
        "hidden_size": g["d"], "intermediate_size": g["F"], "num_hidden_layers": len(g["mixers"]),
        "num_attention_heads": g["H"], "num_key_value_heads": g["G"], "head_dim": g["D"],
        "num_local_experts": g["E"], "num_experts_per_tok": g["k"], "vocab_size": g["V"],
        "rms_norm_eps": 1e-5, "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": None,
        "tie_word_embeddings": g.get("tied", False)}
    if g["dialect"] == "minimax_text_01":
        config |= {"architectures": ["MiniMaxText01ForCausalLM"], "model_type": "minimax_text_01",
                   "attn_type_list": [int(m == "S") for m in g["mixers"]], "postnorm": True,
                   "rope_theta": 10000000.0, "shared_intermediate_size": 0}
        config |= {f"layernorm_{part}_alpha": 1.75 for part in
                   ("linear_attention", "full_attention", "mlp")}
        if g["R"]:
            config["rotary_dim"] = g["R"]
    else:
        config |= {"architectures": ["MiniMaxForCausalLM"], "model_type": "minimax",
                   "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}}
        config |= {"linear_attn_alpha_factor": 2.0, "full_attn_alpha_factor": 1.5,
                   "mlp_alpha_factor": 1.75, "mlp_beta_factor": 0.75}
        if not g.get("absent_types"):
            config["layer_types"] = [{"L": "linear_attention", "S": "full_attention"}[m]
                                     for m in g["mixers"]]
        if g["R"]:
            config["rope_parameters"]["partial_rotary_factor"] = g["R"] / g["D"]
    return config


def tensors(g, rng):
    matrix = lambda rows, columns: rng.standard_normal((rows, columns)) * 1.2 / np.sqrt(columns)
    norm = lambda size: 1 + 0.1 * rng.standard_normal(size)
    d, width, kv = g["d"], g["H"] * g["D"], g["G"] * g["D"]
    out = {"model.embed_tokens.weight": matrix(g["V"], d), "model.norm.weight": norm(d)}
    if not g.get("tied"):
        out["lm_head.weight"] = matrix(g["V"], d)
    for i, mixer in enumerate(g["mixers"]):
        p = f"model.layers.{i}."
        out[p + "input_layernorm.weight"], out[p + "post_attention_layernorm.weight"] = norm(d), norm(d)
        a = p + "self_attn."
        if mixer == "L":
            out[a + "qkv_proj.weight"], out[a + "output_gate.weight"] = matrix(3 * width, d), matrix(width, d)
            out[a + "norm.weight"], out[a + "out_proj.weight"] = norm(width), matrix(d, width)
        else:
            out[a + "q_proj.weight"], out[a + "o_proj.weight"] = matrix(width, d), matrix(d, width)
            out[a + "k_proj.weight"], out[a + "v_proj.weight"] = matrix(kv, d), matrix(kv, d)
        m = p + "block_sparse_moe."
        out[m + "gate.weight"] = matrix(g["E"], d) * 1.5
        for e in range(g["E"]):
            out[f"{m}experts.{e}.w1.weight"] = matrix(g["F"], d)
            out[f"{m}experts.{e}.w2.weight"] = matrix(d, g["F"])
            out[f"{m}experts.{e}.w3.weight"] = matrix(g["F"], d)
    return out


def encoded(array, dtype):
    if dtype == "BF16":  # round to nearest even
        bits = array.astype("<f4").view("<u4")
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()
    return array.astype({"F32": "<f4", "F16": "<f2", "I64": "<i8"}[dtype]).tobytes()


def write_safetensors(path, entries):
    """entries: name -> (array, dtype)"""
    header, data = {}, b""
    for name, (array, dtype) in sorted(entries.items()):
        raw = encoded(np.asarray(array), dtype)
        header[name] = {"dtype": dtype, "shape": list(np.shape(array)),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_model(folder, g, rng):
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*"):
        old.unlink()
    (folder / "config.json").write_text(json.dumps(configuration(g), indent=2) + "\n")
    weights = {name: (array, g["dtype"]) for name, array in tensors(g, rng).items()}
    if g["files"] == 1:
        write_safetensors(folder / "model.safetensors", weights)
        return
    index = {}
    for n in range(g["files"]):
        part = f"model-{n + 1:05}-of-{g['files']:05}.safetensors"
        names = sorted(weights)[n::g["files"]]
        write_safetensors(folder / part, {name: weights[name] for name in names})
        index |= {name: part for name in names}
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": dict(sorted(index.items()))}, indent=0) + "\n")


def margin(values, k):
    """The least distance between the k-th and the next largest value of any row."""
    ordered = -np.sort(-values, -1)
    return (ordered[:, k - 1] - ordered[:, k]).min() if values.shape[-1] > k else np.inf


class Watched(Oracle):
    """The oracle, keeping the least margin of all routing decisions."""

    def moe(self, i, h):
        scores = h @ self.w[f"model.layers.{i}.block_sparse_moe.gate.weight"].T
        # Near ties within the choices change only the order of a sum.
        self.least = min(self.least, margin(scores, self.cfg.topk))
        return super().moe(i, h)


def golden(folder, g, rng):
    """Golden data for inputs without near ties, or None for these inputs."""
    oracle, ids, entries = Watched(folder), rng.integers(0, g["V"], max(LENGTHS)), {}
    oracle.least = np.inf
    for n in LENGTHS:
        oracle.reset()
        logits, generated = oracle.step(ids[:n]), []
        entries[f"ids_{n}"] = (ids[None, :n], "I64")
        entries[f"logits_{n}"] = (logits[None, -8:], "F32")
        for _ in range(GREEDY):
            if margin(logits[-1:], 1) < TOKEN_MARGIN:
                return None
            generated.append(int(logits[-1].argmax()))
            logits = oracle.step(generated[-1:])
        entries[f"gen_{n}"] = (np.array([generated]), "I64")
        if oracle.least < ROUTE_MARGIN:
            return None
    return entries


def make(folder, g, rng):
    write_model(folder, g, rng)
    for attempt in range(50):
        entries = golden(folder, g, rng)
        if entries:
            write_safetensors(folder / "golden.safetensors", entries)
            print(f"{folder.name}: {g}, inputs {attempt + 1}")
            return check(Oracle(folder), folder / "golden.safetensors")
    print(f"{folder.name}: no inputs without near ties")
    return False


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__,
                                        formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--stored", action="store_true")
    arguments.add_argument("--random", nargs=2, metavar=("SEED", "FOLDER"))
    chosen = arguments.parse_args()
    good = True
    if chosen.stored:
        for number, (name, geometry) in enumerate(STORED.items()):
            good &= make(HERE / "generated" / name, geometry, np.random.default_rng(number))
    if chosen.random:
        source = np.random.default_rng(int(chosen.random[0]))
        good &= make(pathlib.Path(chosen.random[1]), random_geometry(source), source)
    sys.exit(0 if good else 1)
