"""The programs of the conformance tests for GPUs: every op and fused group at its edges.

sources(seed, small) gives a list of Case.  A case is one file of MLIR with its weights, compiled
once for the host from the definitions of its ops, and in several ways for the GPU; `levin-run
compare` then runs all of them on the same inputs.
"""
import dataclasses
import json
import random
import struct

# Extents at which tiles, warps and row blocks end, and one on either side.
TOKENS = (1, 2, 7, 8, 9, 63, 64, 65, 127, 128, 129, 200)
SMALL_TOKENS = (1, 9, 65)

# Bounds of |b - a|_2 / |a|_2, by what a program stores and does.
TOLERANCE = {
    # Sums of up to 1,000 float32 products in another order, and the last bits of exp and rsqrt.
    "f32": 1e-5,
    # Both sides round the same tensors to bf16; where sums differ in their last bits, some round
    # the other way (2^-8 of the value), and later norms spread that over rows.
    "bf16": 3e-3,
    # The tensor cores get probabilities and decayed keys in bf16, which the definition keeps in
    # float32: 2^-9 of each term, in a sum of terms of both signs.
    "bf16-attention": 1e-2,
    # As above; a key or value that rounds the other way is 2^-4 off.
    "f8-attention": 2e-2,
}
F32, NARROW = {"f32": "f32"}, {"f32": "f32", "bf16": "bf16"}


@dataclasses.dataclass
class Case:
    name: str
    text: str                    # the MLIR
    weights: bytes = b""         # a safetensors file; none if empty
    options: tuple = ()          # of levin-compile, for all targets
    kinds: dict = dataclasses.field(default_factory=lambda: F32)  # to keys of TOLERANCE
    padding_id: int = 0


# --- Plain functions: everything that is not attention over sequences --------------------------

def tensor(*extents, dtype="f32"):
    return f"tensor<{'x'.join(map(str, extents))}x{dtype}>"


class Function:
    """Text of a function; inputs become arguments in the order in which they are asked for."""

    def __init__(self, name):
        self.name, self.inputs, self.lines, self.types = name, [], [], {}

    def input(self, name, *extents, dtype="f32"):
        kind = tensor(*extents, dtype=dtype)
        self.inputs.append(f'%{name}: {kind} {{nn.name = "{name}"}}')
        self.types[f"%{name}"] = kind
        return f"%{name}"

    def op(self, text, kind):
        value = f"%v{len(self.lines)}"
        self.lines.append(f"  {value} = {text}")
        self.types[value] = kind
        return value

    def type_of(self, *values):
        return ", ".join(self.types[v] for v in values)

    def norm(self, x, name):
        columns = self.types[x].split("x")[-2]
        gain = self.input(name, columns)
        return self.op(f"nn.rms_norm {x}, {gain} {{eps = 1.0e-5 : f64}} : {self.type_of(x, gain)}",
                       self.types[x])

    def linear(self, x, w, m, n, bias=None):
        values = [x, w] + ([bias] if bias else [])
        tail = f" bias {bias}" if bias else ""
        return self.op(f"nn.linear {x}, {w}{tail} : {self.type_of(*values)}", tensor(m, n))

    def unary(self, name, x):
        return self.op(f"nn.{name} {x} : {self.types[x]}", self.types[x])

    def binary(self, name, x, y):
        return self.op(f"arith.{name} {x}, {y} : {self.types[x]}", self.types[x])

    def residual(self, x, y):
        return self.op(f"nn.residual {x}, {y} {{alpha = 1.5 : f64, beta = 0.75 : f64}} : {self.types[x]}",
                       self.types[x])

    def constant(self, values):
        kind = tensor(len(values), dtype="i32")
        return self.op(f"arith.constant dense<{list(values)}> : {kind}", kind)

    def finish(self, *results):
        names = [f'{self.types[r]} {{nn.name = "y{i}"}}' for i, r in enumerate(results)]
        return (f"func.func @{self.name}({', '.join(self.inputs)})\n    -> ({', '.join(names)}) {{\n"
                + "\n".join(self.lines)
                + f"\n  return {', '.join(results)} : {self.type_of(*results)}\n}}\n")


def product(kind, m, n, k, dtype):
    """norm -> linear with an epilogue -> norm, so that bf16 activations cross both borders."""
    f = Function(f"{kind}_{m}x{n}x{k}")
    x = f.norm(f.input("x", m, k), "g")
    w = f.input("w", n, k, dtype=dtype)
    if kind == "plain":
        y = f.linear(x, w, m, n)
    elif kind == "silu":
        y = f.unary("silu", f.linear(x, w, m, n))
    elif kind == "bias":
        y = f.linear(x, w, m, n, f.input("b", n))
    elif kind == "gate":
        y = f.binary("mulf", f.unary("sigmoid", f.linear(x, w, m, n)), f.norm(f.input("u", m, n), "gu"))
    elif kind == "residual":
        y = f.residual(f.norm(f.input("u", m, n), "gu"), f.linear(x, w, m, n))
    elif kind == "gated":
        up = f.linear(x, f.input("w3", n, k, dtype=dtype), m, n)
        y = f.binary("mulf", f.unary("silu", f.linear(x, w, m, n)), up)
    return f.finish(f.norm(y, "h"))


PRODUCTS = (("plain", 256, 192), ("silu", 768, 192), ("gate", 256, 64), ("residual", 192, 256),
            ("bias", 96, 128), ("gated", 384, 192), ("plain", 33, 17), ("silu", 200, 72),
            ("residual", 70, 100), ("gated", 40, 24))


def products(small):
    tokens = SMALL_TOKENS if small else TOKENS
    shapes = PRODUCTS[1:2] + PRODUCTS[8:9] if small else PRODUCTS
    for dtype in ("bf16",) if small else ("bf16", "f32"):
        text = "".join(product(kind, m, n, k, dtype) for kind, n, k in shapes for m in tokens)
        yield Case(f"products-{dtype}", text, kinds=NARROW if dtype == "bf16" else F32)


def experts(m, number, choices, d, width, dtype):
    """norm -> route -> experts -> combine -> residual; the last tokens are padding."""
    f = Function(f"experts_{m}_{number}x{choices}_{width}x{d}")
    x = f.norm(f.input("x", m, d), "g")
    scores = f.linear(x, f.input("w", number, d, dtype=dtype), m, number)
    starts = f.constant([0, m - m // 8])
    weights, rows, offsets = (tensor(m, choices), tensor(m, choices, dtype="i32"),
                              tensor(number + 1, dtype="i32"))
    f.lines.append(f"  %weights, %rows, %offsets = moe.route {scores} batch({starts}) "
                   f"{{choices = {choices} : i64, normalize}} : {f.type_of(scores, starts)}")
    f.types.update({"%weights": weights, "%rows": rows, "%offsets": offsets})
    sent = f.op(f"moe.dispatch {x} by %rows : {f.type_of(x, '%rows')}", tensor(m * choices, d))
    w1, w3 = (f.input(n, number, width, d, dtype=dtype) for n in ("w1", "w3"))
    w2 = f.input("w2", number, d, width, dtype=dtype)
    made = f.op(f"moe.experts {sent} by %offsets gate {w1} up {w3} down {w2} : "
                + f.type_of(sent, "%offsets", w1, w3, w2), tensor(m * choices, d))
    back = f.op(f"moe.combine {made} by %rows weighted %weights : "
                + f.type_of(made, "%rows", "%weights"), tensor(m, d))
    return f.finish(f.norm(f.residual(x, back), "h"))


def mixtures(small):
    shapes = ((4, 2, 192, 192),) if small else ((4, 2, 192, 192), (32, 2, 128, 256), (8, 1, 64, 40),
                                                (5, 3, 72, 24), (16, 4, 256, 64))
    for dtype in ("bf16",) if small else ("bf16", "f32"):
        text = "".join(experts(m, *shape, dtype)
                       for shape in shapes for m in (SMALL_TOKENS if small else TOKENS))
        yield Case(f"experts-{dtype}", text, kinds=NARROW if dtype == "bf16" else F32)


def row_function(m, n):
    """Norms, activations and gathers of rows of n columns, in two kernels and more."""
    f = Function(f"rows_{m}x{n}")
    x = f.input("x", m, n)
    gain, bias = f.input("lg", n), f.input("lb", n)
    a = f.norm(x, "g")
    b = f.op(f"nn.layer_norm {a}, {gain}, {bias} {{eps = 1.0e-5 : f64}} : "
             + f.type_of(a, gain, bias), tensor(m, n))
    c = f.binary("addf", f.unary("gelu", b), f.unary("silu", a))
    ids = f.input("ids", 6, dtype="i32")
    table = f.input("table", 5, n)
    e = f.op(f"nn.embed {ids}, {table} : {f.type_of(ids, table)} -> {tensor(6, n)}", tensor(6, n))
    places = f.constant([0, m - 1, m // 2, 0, m - 1, m // 3])
    t = f.op(f"nn.take_rows {c}, {places} : {f.type_of(c, places)}", tensor(6, n))
    masked = f.op(f"nn.mask_tail {c} {{live = {max(n - 3, 1)} : i64}} : {f.types[c]}", f.types[c])
    return f.finish(c, f.norm(f.binary("addf", t, e), "h"), masked)


def rows(small):
    columns = (192,) if small else (1, 8, 33, 64, 100, 192, 1000, 6144)
    text = "".join(row_function(m, n) for n in columns for m in (SMALL_TOKENS if small else (1, 7, 65, 200)))
    yield Case("rows", text, kinds=NARROW)


# --- Steps: attention over the sequences of a batch ----------------------------------------------

def safetensors(tensors, random_source):
    """A file of bf16 tensors of normal values; the last row of each matrix is NaN: that of padding."""
    header, data = {}, bytearray()
    for name, (rows_, columns) in tensors.items():
        begin = len(data)
        for row in range(rows_):
            if row == rows_ - 1:
                data += b"\xff\xff" * columns
                continue
            for _ in range(columns):
                bits, = struct.unpack("<I", struct.pack("<f", random_source.gauss(0, 0.5)))
                data += struct.pack("<H", (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 & 0xFFFF)
        header[name] = {"dtype": "BF16", "shape": [rows_, columns], "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(data)


STEP = """module attributes {{nn.family = "conformance", nn.layers = 1 : i64, nn.vocabulary = {width} : i64}} {{
nn.parameter @table : {table} = concat [<"table">]
nn.parameter @norm : {gain} = dense<1.0>
{extra}func.func @step(%ids: tensor<?xi32> {{nn.role = #nn.role<ids>}}, %starts: tensor<?xi32> {{nn.role = #nn.role<starts>}},
    %slots: tensor<?xi32> {{nn.role = #nn.role<slots>}}, %past: tensor<?xi32> {{nn.role = #nn.role<past>}},
    %rows: tensor<?xi32> {{nn.role = #nn.role<rows>}}{arguments})
    -> (tensor<?x{width}xf32> {{nn.role = #nn.role<logits>}}{results}) {{
  %t = nn.use @table : {table}
  %x = nn.embed %ids, %t : tensor<?xi32>, {table} -> {joint}
{body}  %g = nn.use @norm : {gain}
  %n = nn.rms_norm %o, %g {{eps = 1.0e-5 : f64}} : tensor<?x{width}xf32>, {gain}
  %y = nn.take_rows %n, %rows : tensor<?x{width}xf32>, tensor<?xi32>
  return %y{values} : tensor<?x{width}xf32>{types}
}}
}}
"""


def state_arguments(states):
    """Text of arguments and results for states of these names and types."""
    spelled = [f'%{n}: {t} {{nn.name = "layer0.{n}", nn.role = #nn.role<state>}}' for n, t in states]
    made = [f'{t} {{nn.name = "layer0.{n}", nn.role = #nn.role<state>}}' for n, t in states]
    return {"arguments": "".join(",\n    " + s for s in spelled),
            "results": "".join(", " + s for s in made),
            "values": "".join(f", %new_{n}" for n, _ in states),
            "types": "".join(f", {t}" for _, t in states)}


def lightning_step(heads, size, vocabulary):
    width, head = heads * size, f"tensor<?x{heads}x{size}xf32>"
    state = f"tensor<?x{heads}x{size}x{size}xf32>"
    slopes = ", ".join(f"{2.0 ** (-8.0 * (h + 1) / heads):.9e}" for h in range(heads))
    extra = f"nn.parameter @slopes : tensor<{heads}xf32> = dense<[{slopes}]>\n"
    joint = f"tensor<?x{3 * width}xf32>"
    body = (f"  %s = nn.silu %x : {joint}\n"
            f"  %q, %k, %v = nn.split_heads %s interleaved : {joint} -> {head}, {head}, {head}\n"
            f"  %slopes = nn.use @slopes : tensor<{heads}xf32>\n"
            f"  %o, %new_state = nn.lightning_attention %q, %k, %v, %slopes state %state\n"
            f"    batch(%starts, %slots, %past) : ({head}, {head}, {head}, tensor<{heads}xf32>, {state},\n"
            f"    tensor<?xi32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x{width}xf32>, {state})\n")
    return STEP.format(width=width, table=tensor(vocabulary, 3 * width, dtype="bf16"),
                       gain=tensor(width), extra=extra, joint=joint, body=body,
                       **state_arguments([("state", state)]))


def attention_step(heads, groups, size, vocabulary, rotated):
    width, joint = heads * size, f"tensor<?x{(heads + 2 * groups) * size}xf32>"
    query, key = f"tensor<?x{heads}x{size}xf32>", f"tensor<?x{groups}x{size}xf32>"
    keys, values = f"tensor<?x{groups}x?x{size}x16xf32>", f"tensor<?x{groups}x?x16x{size}xf32>"
    batch, ints = "batch(%starts, %slots, %past)", "tensor<?xi32>, tensor<?xi32>, tensor<?xi32>"
    body = f"  %q, %k, %v = nn.split_heads %x : {joint} -> {query}, {key}, {key}\n"
    q, k = "%q", "%k"
    if rotated:
        for name, kind in (("q", query), ("k", key)):
            body += (f"  %r{name} = nn.rotary %{name} batch(%starts, %past) {{theta = 1.0e4 : f64, "
                     f"width = {rotated} : i64}} : {kind}, tensor<?xi32>, tensor<?xi32>\n")
        q, k = "%rq", "%rk"
    body += (f"  %o, %new_keys, %new_values = nn.attention {q}, {k}, %v cache(%keys, %values) {batch}\n"
             f"    {{scale = {size ** -0.5} : f64}} : ({query}, {key}, {key}, {keys}, {values}, {ints})\n"
             f"    -> (tensor<?x{width}xf32>, {keys}, {values})\n")
    return STEP.format(width=width, table=tensor(vocabulary, (heads + 2 * groups) * size, dtype="bf16"),
                       gain=tensor(width), extra="", joint=joint, body=body,
                       **state_arguments([("keys", keys), ("values", values)]))


def buckets(tokens, slots):
    """A bucket for each count, of varying numbers of sequences; every token can have logits."""
    return ",".join(f"{t}x{min(t, slots, 1 + 3 * i)}x{t}" for i, t in enumerate(tokens))


def steps(seed, small):
    source = random.Random(seed)
    slots = 4 if small else 20
    lightning = ((2, 64),) if small else ((4, 64), (2, 128), (3, 40), (16, 128), (1, 16))
    attention = ((4, 2, 64, 64),) if small else ((4, 2, 64, 64), (8, 1, 128, 64), (16, 2, 128, 0),
                                                 (8, 8, 128, 128), (3, 1, 40, 16), (64, 8, 128, 64))
    sizes = SMALL_TOKENS if small else TOKENS
    for heads, size in lightning:
        yield step_case(f"lightning-{heads}x{size}", lightning_step(heads, size, 32),
                        3 * heads * size, sizes, slots, source, {**F32, "bf16": "bf16-attention"})
    for heads, groups, size, rotated in attention:
        yield step_case(f"attention-{heads}x{groups}x{size}",
                        attention_step(heads, groups, size, 32, rotated),
                        (heads + 2 * groups) * size, sizes, slots, source,
                        {**F32, "bf16": "bf16-attention", "f8": "f8-attention"})


def step_case(name, text, columns, sizes, slots, source, kinds):
    return Case(name, text, safetensors({"table": (32, columns)}, source),
                ("--buckets", buckets(sizes, slots), "--slots", str(slots), "--max-context", "300"),
                kinds=kinds, padding_id=31)


def sources(seed, small=False):
    """All cases; with `small` the few that show that every kind of kernel compiles."""
    yield from products(small)
    yield from mixtures(small)
    yield from rows(small)
    yield from steps(seed, small)
