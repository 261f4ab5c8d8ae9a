"""Writes config.json and the index of the released geometry of MiniMax-Text-01 into a folder."""
import json
import pathlib
import sys

folder = pathlib.Path(sys.argv[1])
softmax = [int((layer + 1) % 8 == 0) for layer in range(80)]
config = {
    "architectures": ["MiniMaxText01ForCausalLM"], "model_type": "minimax_text_01",
    "attn_type_list": softmax, "hidden_size": 6144, "intermediate_size": 9216,
    "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 128,
    "num_local_experts": 32, "num_experts_per_tok": 2, "rms_norm_eps": 1e-5, "vocab_size": 200064,
    "postnorm": True, "rope_theta": 10000000, "rotary_dim": 64, "shared_intermediate_size": 0,
    "bos_token_id": None, "eos_token_id": None, "sliding_window": None, "hidden_act": "silu"}
for part in ("full_attention", "linear_attention", "mlp"):
    config[f"layernorm_{part}_alpha"] = 3.5565588200778455
    config[f"layernorm_{part}_beta"] = 1.0
names = ["model.embed_tokens", "model.norm", "lm_head"]
for layer, kind in enumerate(softmax):
    prefix = f"model.layers.{layer}."
    names += [prefix + "input_layernorm", prefix + "post_attention_layernorm"]
    mixer = ("q_proj", "k_proj", "v_proj", "o_proj") if kind else (
        "qkv_proj", "output_gate", "norm", "out_proj")
    names += [f"{prefix}self_attn.{name}" for name in mixer]
    names.append(prefix + "block_sparse_moe.gate")
    names += [f"{prefix}block_sparse_moe.experts.{e}.w{w}" for e in range(32) for w in (1, 2, 3)]
index = {f"{name}.weight": f"model-{n % 4 + 1:05}-of-00004.safetensors"
         for n, name in enumerate(names)}
(folder / "config.json").write_text(json.dumps(config))
(folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
