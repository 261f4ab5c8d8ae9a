"""The ops of nn and moe in plain Python, as their descriptions say, in float64.

Tensors are nested lists.  Nothing here shares code with the decompositions.
"""

import math
import struct


def float32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def silu(x):
    return x * sigmoid(x)


def gelu(x):
    return x * (1 + math.erf(x / math.sqrt(2))) / 2


def rows_of(starts, s):
    return range(starts[s], starts[s + 1])


def dot(a, b):
    return math.fsum(x * y for x, y in zip(a, b))


def embed(ids, table):
    return [table[i if 0 <= i < len(table) else 0] for i in ids]


def linear(x, weight, bias=None):
    return [[dot(row, w) + (bias[n] if bias else 0) for n, w in enumerate(weight)] for row in x]


def rms_norm(x, weight, eps):
    result = []
    for row in x:
        scale = 1 / math.sqrt(dot(row, row) / len(row) + eps)
        result.append([v * scale * w for v, w in zip(row, weight)])
    return result


def layer_norm(x, weight, bias, eps):
    result = []
    for row in x:
        mean = math.fsum(row) / len(row)
        variance = math.fsum((v - mean) ** 2 for v in row) / len(row)
        scale = 1 / math.sqrt(variance + eps)
        result.append([(v - mean) * scale * w + b for v, w, b in zip(row, weight, bias)])
    return result


def split_heads(x, heads, size, interleaved):
    """`heads[p]` heads in result p."""
    results = []
    for p, count in enumerate(heads):
        def column(h, d):
            if interleaved:
                return (h * len(heads) + p) * size + d
            return (sum(heads[:p]) + h) * size + d
        results.append([[[row[column(h, d)] for d in range(size)] for h in range(count)] for row in x])
    return results


def rotary(x, starts, past, theta, width):
    """Rows of no sequence are None."""
    result = [None] * len(x)
    for s in range(len(past)):
        for i, t in enumerate(rows_of(starts, s)):
            result[t] = [list(head) for head in x[t]]
            for head, out in zip(x[t], result[t]):
                for j in range(width // 2):
                    angle = float32(float32(past[s] + i) * float32(theta ** (-2 * j / width)))
                    a, b = head[j], head[j + width // 2]
                    out[j] = a * math.cos(angle) - b * math.sin(angle)
                    out[j + width // 2] = b * math.cos(angle) + a * math.sin(angle)
    return result


def lightning_attention(q, k, v, slopes, state, starts, slots, past):
    """Updates `state`; rows of no sequence are None."""
    heads, size = len(q[0]), len(q[0][0])
    result = [None] * len(q)
    for s, slot in enumerate(slots):
        if starts[s] == starts[s + 1]:
            continue
        for h in range(heads):
            if past[s] == 0:
                state[slot][h] = [[0.0] * size for _ in range(size)]
            matrix = state[slot][h]
            decay = math.exp(-slopes[h])
            for t in rows_of(starts, s):
                for i in range(size):
                    for j in range(size):
                        matrix[i][j] = decay * matrix[i][j] + k[t][h][i] * v[t][h][j]
                result[t] = result[t] or []
                row = [math.fsum(q[t][h][i] * matrix[i][j] for i in range(size)) for j in range(size)]
                result[t].append(row)
    return [None if r is None else sum(r, []) for r in result]


def attention(q, k, v, keys, values, starts, slots, past, scale):
    """Updates `keys` and `values`; rows of no sequence are None."""
    heads, groups, size = len(q[0]), len(k[0]), len(q[0][0])
    block = len(values[0][0][0])
    result = [None] * len(q)
    for s, slot in enumerate(slots):
        for i, t in enumerate(rows_of(starts, s)):
            p = past[s] + i
            for g in range(groups):
                for d in range(size):
                    keys[slot][g][p // block][d][p % block] = k[t][g][d]
                    values[slot][g][p // block][p % block][d] = v[t][g][d]
            row = []
            for h in range(heads):
                g = h // (heads // groups)
                scores = [
                    scale * math.fsum(q[t][h][d] * keys[slot][g][j // block][d][j % block] for d in range(size))
                    for j in range(p + 1)]
                top = max(scores)
                powers = [math.exp(x - top) for x in scores]
                total = math.fsum(powers)
                for d in range(size):
                    row.append(math.fsum(
                        w * values[slot][g][j // block][j % block][d] for j, w in enumerate(powers)) / total)
            result[t] = row
    return result


def route(scores, starts, choices, normalize):
    experts, live = len(scores[0]), starts[-1]
    weights = [[0.0] * choices for _ in scores]
    rows = [[-1] * choices for _ in scores]
    chosen = []
    for t in range(live):
        top = max(scores[t])
        powers = [math.exp(x - top) for x in scores[t]]
        shares = [x / math.fsum(powers) for x in powers]
        order = sorted(range(experts), key=lambda e: (-shares[e], e))[:choices]
        total = math.fsum(shares[e] for e in order) if normalize else 1
        weights[t] = [shares[e] / total for e in order]
        chosen.append(order)
    offsets, row = [0], 0
    for e in range(experts):
        for t in range(live):
            for c in range(choices):
                if chosen[t][c] == e:
                    rows[t][c] = row
                    row += 1
        offsets.append(row)
    return weights, rows, offsets


def dispatch(tokens, rows):
    """Rows that nobody was given are None."""
    result = [None] * (len(rows) * len(rows[0]))
    for t, places in enumerate(rows):
        for row in places:
            if row >= 0:
                result[row] = tokens[t]
    return result


def grouped_linear(x, weight, offsets):
    result = [None] * len(x)
    for e, matrix in enumerate(weight):
        for r in range(offsets[e], offsets[e + 1]):
            result[r] = [dot(x[r], w) for w in matrix]
    return result


def experts(x, offsets, w1, w3, w2):
    gate, up = grouped_linear(x, w1, offsets), grouped_linear(x, w3, offsets)
    inner = [[0.0] * len(w1[0]) if g is None else [silu(a) * b for a, b in zip(g, u)]
             for g, u in zip(gate, up)]
    return grouped_linear(inner, w2, offsets)


def combine(expert_rows, rows, weights):
    result = []
    for places, shares in zip(rows, weights):
        sums = [0.0] * len(expert_rows[0])
        for row, share in zip(places, shares):
            if row >= 0:
                sums = [s + share * x for s, x in zip(sums, expert_rows[row])]
        result.append(sums)
    return result


def pack(matrix, panel):
    panels = []
    for i in range(0, len(matrix), panel):
        part = matrix[i:i + panel] + [[0.0] * len(matrix[0])] * (panel - len(matrix[i:i + panel]))
        panels.append([list(column) for column in zip(*part)])
    return panels
