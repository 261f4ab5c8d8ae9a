"""The bytes and FLOPs that levin-bench says a step of tiny-python needs, counted again."""
import json
import sys

row = json.load(sys.stdin)["rows"][0]
needs = row["needs"]
d, heads, vocabulary, experts = 192, 256, 1024, 4
# Norms in float32; weights in bf16, in panels of 32 rows.
attention = lambda qkv: 4 * d + 2 * (qkv * d + heads * d)
lightning = attention(768) + 4 * 4 + 4 * 256 + 2 * 256 * d
router = 4 * d + 2 * 32 * d
touched = experts * (1 - (1 - 2 / experts) ** 1) * 3 * 2 * d * d
weights = 7 * lightning + attention(512) + 8 * (router + touched) + 2 * d + 4 * d + 2 * vocabulary * d
assert abs(needs["parameter_bytes"] - weights) < 1, (needs, weights)
assert needs["state_bytes"] in (7 * 4 * 64 * 64 * 4, 2 * 7 * 4 * 64 * 64 * 4), needs
layer = 2 * d * (768 + 256 + 256)
products = 7 * layer + 2 * d * (512 + 256) + 8 * (2 * d * 4 + 2 * 3 * 2 * d * d) + 2 * d * vocabulary
assert products < needs["flops"] < 1.1 * products + 7 * 4 * 4 * 64 * 64, (needs, products)
