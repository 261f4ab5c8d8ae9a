"""Every decomposition against plain Python: ragged batches, grouped queries, several blocks of
cache, state from before, poisoned padding, narrow types.

usage: meaning.py LEVIN_OPT TO_LLVM_FLAGS RUNNER_COMMAND
"""

import copy
import sys

import reference as ref
from harness import POISON, ROUND, Numbers, Program


def poisoned(value, live):
    """`value` with rows from `live` on replaced by NaN."""
    def fill(x):
        return [fill(y) for y in x] if isinstance(x, list) else POISON
    return value[:live] + [fill(row) for row in value[live:]]


def rounded(value, element):
    if isinstance(value, list):
        return [rounded(x, element) for x in value]
    return None if value is None else ROUND[element](value)


def shaped(value, element, *shape):
    """A result of which some rows are unspecified."""
    return (value, element, list(shape))


def elementwise(program, n):
    for element in ["f32", "bf16", "f16"]:
        x, y = n.tensor(3, 5, element=element, low=-4, high=4), n.tensor(3, 5, element=element)
        for name, function in [("silu", ref.silu), ("sigmoid", ref.sigmoid), ("gelu", ref.gelu)]:
            program.case("%s %s" % (name, element), {"x": (x, element)},
                         "%%r0 = nn.%s %%x : tensor<3x5x%s>" % (name, element),
                         [([[function(v) for v in row] for row in x], element)])
        program.case(
            "residual %s" % element, {"x": (x, element), "y": (y, element)},
            "%%r0 = nn.residual %%x, %%y {alpha = 3.5 : f64, beta = 0.5 : f64} : tensor<3x5x%s>" % element,
            [([[3.5 * a + 0.5 * b for a, b in zip(p, q)] for p, q in zip(x, y)], element)])
    extreme = [[-200.0, 200.0, 0.0]]
    program.case("sigmoid of large numbers", {"x": (extreme, "f32")},
                 "%r0 = nn.sigmoid %x : tensor<1x3xf32>", [([[0.0, 1.0, 0.5]], "f32")])


def rows(program, n):
    table = n.tensor(7, 4, element="bf16")
    ids = [6, 0, -1, 7, 2147483647, 3]
    program.case("embed", {"ids": (ids, "i32"), "t": (table, "bf16")},
                 "%r0 = nn.embed %ids, %t : tensor<6xi32>, tensor<7x4xbf16> -> tensor<6x4xf32>",
                 [(ref.embed(ids, table), "f32")])
    x = n.tensor(5, 4)
    program.case("take_rows", {"x": (x, "f32"), "r": ([4, 4, -7, 5, 1], "i32")},
                 "%r0 = nn.take_rows %x, %r : tensor<5x4xf32>, tensor<5xi32>",
                 [(ref.embed([4, 4, 0, 0, 1], x), "f32")])
    for input, weight in [("f32", "f32"), ("f32", "bf16"), ("bf16", "bf16"), ("f16", "f32")]:
        x, w = n.tensor(3, 17, element=input), n.tensor(6, 17, element=weight)
        b = n.tensor(6, element=weight)
        types = "tensor<3x17x%s>, tensor<6x17x%s>" % (input, weight)
        program.case("linear %s %s" % (input, weight), {"x": (x, input), "w": (w, weight)},
                     "%%r0 = nn.linear %%x, %%w : %s" % types, [(ref.linear(x, w), input)])
        program.case("linear with bias %s %s" % (input, weight),
                     {"x": (x, input), "w": (w, weight), "b": (b, weight)},
                     "%%r0 = nn.linear %%x, %%w bias %%b : %s, tensor<6x%s>" % (types, weight),
                     [(ref.linear(x, w, b), input)])
    for element in ["f32", "bf16"]:
        x, w, b = n.tensor(3, 9, element=element), n.tensor(9), n.tensor(9)
        # The large eps would show if it were added in the wrong place.
        program.case("rms_norm %s" % element, {"x": (x, element), "w": (w, "f32")},
                     "%%r0 = nn.rms_norm %%x, %%w {eps = 0.25 : f64} : tensor<3x9x%s>, tensor<9xf32>" % element,
                     [(ref.rms_norm(x, w, 0.25), element)])
        program.case("layer_norm %s" % element, {"x": (x, element), "w": (w, "f32"), "b": (b, "f32")},
                     "%%r0 = nn.layer_norm %%x, %%w, %%b {eps = 0.25 : f64} : tensor<3x9x%s>, "
                     "tensor<9xf32>, tensor<9xf32>" % element,
                     [(ref.layer_norm(x, w, b, 0.25), element)])
    x = n.tensor(2, 4)
    program.case("mask_tail", {"x": (x, "f32")}, "%r0 = nn.mask_tail %x {live = 3 : i64} : tensor<2x4xf32>",
                 [([row[:3] + [float("-inf")] for row in x], "f32")])


def heads(program, n):
    x = n.tensor(3, 24)
    types = ", ".join(["tensor<3x2x4xf32>"] * 3)
    program.case("split_heads interleaved", {"x": (x, "f32")},
                 "%%r0, %%r1, %%r2 = nn.split_heads %%x interleaved : tensor<3x24xf32> -> %s" % types,
                 [(part, "f32") for part in ref.split_heads(x, [2, 2, 2], 4, True)])
    program.case("split_heads plain", {"x": (x, "f32")},
                 "%r0, %r1, %r2 = nn.split_heads %x : tensor<3x24xf32> "
                 "-> tensor<3x4x4xf32>, tensor<3x1x4xf32>, tensor<3x1x4xf32>",
                 [(part, "f32") for part in ref.split_heads(x, [4, 1, 1], 4, False)])
    starts, past = [0, 2, 2, 5], [3, 9, 0]
    for width, theta, element in [(8, 1.0e4, "f32"), (4, 1.0e7, "f32"), (2, 10.0, "bf16")]:
        x = n.tensor(7, 2, 8, element=element)
        program.case(
            "rotary width %d %s" % (width, element),
            {"x": (x, element), "starts": (starts, "i32"), "past": (past, "i32")},
            "%%r0 = nn.rotary %%x batch(%%starts, %%past) {theta = %e : f64, width = %d : i64} "
            ": tensor<7x2x8x%s>, tensor<4xi32>, tensor<3xi32>" % (theta, width, element),
            [shaped(ref.rotary(x, starts, past, theta, width), element, 7, 2, 8)])
    far = [1000000007]
    x = n.tensor(1, 1, 4)
    program.case("rotary far out", {"x": (x, "f32"), "starts": ([0, 1], "i32"), "past": (far, "i32")},
                 "%r0 = nn.rotary %x batch(%starts, %past) {theta = 1.0e4 : f64, width = 4 : i64} "
                 ": tensor<1x1x4xf32>, tensor<2xi32>, tensor<1xi32>",
                 [(ref.rotary(x, [0, 1], far, 1e4, 4), "f32")])


# Ragged batches: tokens, starts, slots, past.  Sequence 1 of the second has no rows and a slot that
# does not exist; rows from the last start on are padding.
BATCHES = [
    ("one token", 1, [0, 1], [0], [0]),
    ("ragged", 9, [0, 3, 3, 4, 7], [2, 99, 0, 1], [0, 5, 6, 17]),
    ("no sequence", 2, [0, 0], [1], [0]),
]


def lightning(program, n):
    for name, tokens, starts, slots, past in BATCHES:
        for count, size, element in [(2, 3, "f32"), (1, 4, "bf16")]:
            live = starts[-1]
            q, k, v = (poisoned(n.tensor(tokens, count, size, element=element), live) for _ in range(3))
            slopes, state = n.tensor(count, low=0, high=1), n.tensor(4, count, size, size)
            state[2] = poisoned(state[2], 0)  # of a fresh sequence, or of none
            new = copy.deepcopy(state)
            output = ref.lightning_attention(q, k, v, slopes, new, starts, slots, past)
            x = "tensor<%dx%dx%dx%s>" % (tokens, count, size, element)
            s = "tensor<4x%dx%dx%dxf32>" % (count, size, size)
            y = "tensor<%dx%dx%s>" % (tokens, count * size, element)
            i = "tensor<%dxi32>, tensor<%dxi32>, tensor<%dxi32>" % (len(starts), len(slots), len(past))
            program.case(
                "lightning_attention, %s, %s" % (name, element),
                {"q": (q, element), "k": (k, element), "v": (v, element), "slopes": (slopes, "f32"),
                 "state": (state, "f32"), "starts": (starts, "i32"), "slots": (slots, "i32"),
                 "past": (past, "i32")},
                "%%r0, %%r1 = nn.lightning_attention %%q, %%k, %%v, %%slopes state %%state "
                "batch(%%starts, %%slots, %%past) : (%s, %s, %s, tensor<%dxf32>, %s, %s) -> (%s, %s)"
                % (x, x, x, count, s, i, y, s),
                [shaped(zero_padding(output, live), element, tokens, count * size), (new, "f32")])


def zero_padding(output, live):
    """Rows of no sequence come out as zeros, which is more than the op promises."""
    width = next((len(row) for row in output if row), 1)
    return output[:live] + [None if row is None and not live else [0.0] * width for row in output[live:]]


def softmax(program, n):
    for name, tokens, starts, slots, past in BATCHES:
        for count, groups, size, element in [(2, 2, 3, "f32"), (4, 2, 2, "f32"), (8, 1, 4, "bf16")]:
            live, block, blocks = starts[-1], 4, 5
            q = poisoned(n.tensor(tokens, count, size, element=element), live)
            k, v = (poisoned(n.tensor(tokens, groups, size, element=element), live) for _ in range(2))
            keys = n.tensor(3, groups, blocks, size, block, element=element)
            values = n.tensor(3, groups, blocks, block, size, element=element)
            poison_behind(keys, values, [(s, p) for s, p in zip(slots, past) if s < 3])
            new_keys, new_values = copy.deepcopy(keys), copy.deepcopy(values)
            output = ref.attention(q, k, v, new_keys, new_values, starts, slots, past, 0.7)
            x = "tensor<%dx%dx%dx%s>" % (tokens, count, size, element)
            h = "tensor<%dx%dx%dx%s>" % (tokens, groups, size, element)
            c = "tensor<3x%dx%dx%dx%dx%s>" % (groups, blocks, size, block, element)
            d = "tensor<3x%dx%dx%dx%dx%s>" % (groups, blocks, block, size, element)
            y = "tensor<%dx%dx%s>" % (tokens, count * size, element)
            i = "tensor<%dxi32>, tensor<%dxi32>, tensor<%dxi32>" % (len(starts), len(slots), len(past))
            program.case(
                "attention, %s, %d heads on %d, %s" % (name, count, groups, element),
                {"q": (q, element), "k": (k, element), "v": (v, element), "keys": (keys, element),
                 "values": (values, element), "starts": (starts, "i32"), "slots": (slots, "i32"),
                 "past": (past, "i32")},
                "%%r0, %%r1, %%r2 = nn.attention %%q, %%k, %%v cache(%%keys, %%values) "
                "batch(%%starts, %%slots, %%past) {scale = 0.7 : f64} : (%s, %s, %s, %s, %s, %s) "
                "-> (%s, %s, %s)" % (x, h, h, c, d, i, y, c, d),
                [shaped(zero_padding(output, live), element, tokens, count * size),
                 (new_keys, element), (new_values, element)])


def poison_behind(keys, values, used):
    """Positions that no one has written yet hold NaN."""
    for slot, past in used:
        for group_keys, group_values in zip(keys[slot], values[slot]):
            block = len(group_values[0])
            for p in range(past, len(group_values) * block):
                for d in range(len(group_values[0][0])):
                    group_keys[p // block][d][p % block] = POISON
                    group_values[p // block][p % block][d] = POISON


def moe(program, n):
    ties = [[1.0, 1.0, 1.0, 1.0], [0.0, 2.0, 2.0, 2.0]]
    for scores, starts, choices, normalize in [
            (n.tensor(6, 5, low=-3, high=3), [0, 2, 4], 2, True),
            (n.tensor(3, 2), [0, 3], 1, False),
            (n.tensor(4, 8, low=-9, high=9), [0, 4], 4, True),
            (ties, [0, 2], 2, True),
            (ties, [0, 0], 2, True)]:
        tokens, experts = len(scores), len(scores[0])
        live = starts[-1]
        weights, rows, offsets = ref.route(scores, starts, choices, normalize)
        program.case(
            "route %d of %d" % (choices, experts),
            {"x": (poisoned(scores, live), "f32"), "starts": (starts, "i32")},
            "%%r0, %%r1, %%r2 = moe.route %%x batch(%%starts) {choices = %d : i64%s} "
            ": tensor<%dx%dxf32>, tensor<%dxi32>" % (choices, ", normalize" if normalize else "",
                                                     tokens, experts, len(starts)),
            [(weights, "f32"), (rows, "i32"), (offsets, "i32")])

        columns, inner, count = 4, 3, tokens * choices
        x = n.tensor(tokens, columns)
        program.case("dispatch", {"x": (x, "f32"), "rows": (rows, "i32")},
                     "%%r0 = moe.dispatch %%x by %%rows : tensor<%dx4xf32>, tensor<%dx%dxi32>"
                     % (tokens, tokens, choices), [shaped(ref.dispatch(x, rows), "f32", count, columns)])
        sent = poisoned(n.tensor(count, columns), offsets[-1])
        w1, w3 = (n.tensor(experts, inner, columns, element="bf16") for _ in range(2))
        w2 = n.tensor(experts, columns, inner, element="bf16")
        o = "tensor<%dxi32>" % (experts + 1)
        up = "tensor<%dx%dx%dxbf16>" % (experts, inner, columns)
        down = "tensor<%dx%dx%dxbf16>" % (experts, columns, inner)
        program.case("grouped_linear", {"x": (sent, "f32"), "w": (w1, "bf16"), "o": (offsets, "i32")},
                     "%%r0 = moe.grouped_linear %%x, %%w by %%o : tensor<%dx4xf32>, %s, %s" % (count, up, o),
                     [shaped(ref.grouped_linear(sent, w1, offsets), "f32", count, inner)])
        done = ref.experts(sent, offsets, w1, w3, w2)
        program.case(
            "experts", {"x": (sent, "f32"), "o": (offsets, "i32"), "w1": (w1, "bf16"), "w3": (w3, "bf16"),
                        "w2": (w2, "bf16")},
            "%%r0 = moe.experts %%x by %%o gate %%w1 up %%w3 down %%w2 : tensor<%dx4xf32>, %s, %s, %s, %s"
            % (count, o, up, up, down), [shaped(done, "f32", count, columns)])
        program.case(
            "combine", {"y": (sent, "f32"), "rows": (rows, "i32"), "w": (rounded(weights, "f32"), "f32")},
            "%%r0 = moe.combine %%y by %%rows weighted %%w : tensor<%dx4xf32>, tensor<%dx%dxi32>, "
            "tensor<%dx%dxf32>" % (count, tokens, choices, tokens, choices),
            [(ref.combine(sent, rows, weights), "f32")])


def packing(program, n):
    for rows, panel in [(8, 4), (7, 4), (3, 4)]:
        for element in ["f32", "bf16"]:
            w = n.tensor(rows, 3, element=element)
            panels = ref.pack(w, panel)
            matrix, packed = "tensor<%dx3x%s>" % (rows, element), "tensor<%dx3x4x%s>" % (len(panels), element)
            program.case("pack", {"w": (w, element)}, "%%r0 = exec.pack %%w : %s -> %s" % (matrix, packed),
                         [(panels, element)])
            program.case("unpack", {"p": (panels, element)},
                         "%%r0 = exec.unpack %%p : %s -> %s" % (packed, matrix), [(w, element)])
    w = n.tensor(2, 5, 3)
    program.case("pack a stack", {"w": (w, "f32")}, "%r0 = exec.pack %w : tensor<2x5x3xf32> -> tensor<2x2x3x4xf32>",
                 [([ref.pack(part, 4) for part in w], "f32")])


def main():
    program = Program(*sys.argv[1:4])
    for seed, section in enumerate([elementwise, rows, heads, lightning, softmax, moe, packing]):
        section(program, Numbers(seed))
    sys.exit(1 if program.run() else 0)


main()
