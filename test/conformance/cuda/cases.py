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
    "bf16-attention": 5e-3,
    # As above; a key or value that rounds the other way is 2^-4 off.
    "f8-attention": 1e-2,
}
F32 = {"f32": "f32"}


@dataclasses.dataclass
class Case:
    name: str
    text: str                    # the MLIR
    weights: bytes = b""         # a safetensors file; none if empty
    options: tuple = ()          # of levin-compile, for all targets
    kinds: dict = dataclasses.field(default_factory=lambda: F32)  # to keys of TOLERANCE
    padding_id: int = 0


# --- Plain functions: what needs no batch of sequences -------------------------------------------

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

    def read(self, name, *extents, dtype):
        """An input that kernels compute with in float32, whatever it is stored in."""
        x = self.input(name, *extents, dtype=dtype)
        if dtype == "f32":
            return x
        return self.op(f"arith.extf {x} : {self.types[x]} to {tensor(*extents)}", tensor(*extents))

    def store(self, x, dtype):
        if dtype == "f32":
            return x
        kind = self.types[x].replace("xf32>", f"x{dtype}>")
        return self.op(f"arith.truncf {x} : {self.types[x]} to {kind}", kind)

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


def product(kind, m, n, k, stored, weights):
    """One linear with an epilogue."""
    f = Function(f"{kind}_{m}x{n}x{k}")
    x, w = f.read("x", m, k, dtype=stored), f.input("w", n, k, dtype=weights)
    if kind == "plain":
        y = f.linear(x, w, m, n)
    elif kind == "silu":
        y = f.unary("silu", f.linear(x, w, m, n))
    elif kind == "bias":
        y = f.linear(x, w, m, n, f.input("b", n))
    elif kind == "gate":
        y = f.binary("mulf", f.unary("sigmoid", f.linear(x, w, m, n)), f.read("u", m, n, dtype=stored))
    elif kind == "residual":
        y = f.residual(f.read("u", m, n, dtype=stored), f.linear(x, w, m, n))
    elif kind == "gated":
        up = f.linear(x, f.input("w3", n, k, dtype=weights), m, n)
        y = f.binary("mulf", f.unary("silu", f.linear(x, w, m, n)), up)
    return f.finish(f.store(y, stored))


PRODUCTS = (("plain", 256, 192), ("silu", 768, 192), ("gate", 256, 64), ("residual", 192, 256),
            ("bias", 96, 128), ("gated", 384, 192), ("plain", 33, 17), ("silu", 200, 72),
            ("residual", 70, 100), ("gated", 40, 24))


# How tensors and weights of plain functions are stored.
STORED = (("bf16", "bf16"), ("f32", "bf16"), ("f32", "f32"))


def products(small):
    tokens = SMALL_TOKENS if small else TOKENS
    shapes = PRODUCTS[1:2] + PRODUCTS[8:9] if small else PRODUCTS
    for stored, weights in STORED[:2] if small else STORED:
        text = "".join(product(kind, m, n, k, stored, weights) for kind, n, k in shapes for m in tokens)
        yield Case(f"products-{stored}-{weights}", text, kinds={"f32": stored})


def row_function(m, n, stored):
    """Norms, activations and gathers of rows of n columns, in two kernels and more."""
    f = Function(f"rows_{m}x{n}")
    x = f.read("x", m, n, dtype=stored)
    gain, bias = f.input("lg", n), f.input("lb", n)
    a = f.norm(x, "g")
    b = f.op(f"nn.layer_norm {a}, {gain}, {bias} {{eps = 1.0e-5 : f64}} : "
             + f.type_of(a, gain, bias), tensor(m, n))
    c = f.binary("addf", f.unary("gelu", b), f.unary("silu", a))
    ids = f.input("ids", 6, dtype="i32")
    table = f.input("table", 5, n, dtype=stored)
    e = f.op(f"nn.embed {ids}, {table} : {f.type_of(ids, table)} -> {tensor(6, n)}", tensor(6, n))
    places = f.constant([0, m - 1, m // 2, 0, m - 1, m // 3])
    t = f.op(f"nn.take_rows {c}, {places} : {f.type_of(c, places)}", tensor(6, n))
    masked = f.op(f"nn.mask_tail {c} {{live = {max(n - 3, 1)} : i64}} : {f.types[c]}", f.types[c])
    return f.finish(f.store(c, stored), f.store(f.norm(f.binary("addf", t, e), "h"), stored), masked)


def rows(small):
    columns = (192,) if small else (1, 8, 33, 64, 100, 192, 1000, 6144)
    for stored in ("bf16",) if small else ("f32", "bf16"):
        text = "".join(row_function(m, n, stored) for n in columns
                       for m in (SMALL_TOKENS if small else (1, 7, 65, 200)) if m * n < 500_000)
        yield Case(f"rows-{stored}", text, kinds={"f32": stored})


# --- Steps: what depends on the sequences of a batch ---------------------------------------------

def safetensors(tensors, random_source):
    """A file of bf16 tensors (shape, scale) of normal values.  The last row of "table" is NaN: that
    of padding."""
    header, data = {}, bytearray()
    for name, (shape, scale) in tensors.items():
        begin, count = len(data), 1
        for extent in shape:
            count *= extent
        words = []
        for _ in range(count):
            bits, = struct.unpack("<I", struct.pack("<f", random_source.gauss(0, scale)))
            words.append((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 & 0xFFFF)
        if name == "table":
            words[-shape[-1]:] = [0xFFFF] * shape[-1]
        data += struct.pack(f"<{count}H", *words)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, len(data)]}
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


def experts_step(number, choices, width, inner, vocabulary):
    """norm -> route -> experts -> residual, as in a model; padding is routed nowhere."""
    x, up, down = (tensor(*e, dtype="bf16") for e in ((number, width), (number, inner, width),
                                                      (number, width, inner)))
    rows_, joint = f"tensor<?x{choices}xi32>", f"tensor<?x{width}xf32>"
    offsets = f"tensor<{number + 1}xi32>"
    extra = (f"nn.parameter @gain : tensor<{width}xf32> = dense<1.0>\n"
             f'nn.parameter @router : {x} = concat [<"router">]\n'
             f'nn.parameter @w1 : {up} = concat [<"w1">]\nnn.parameter @w3 : {up} = concat [<"w3">]\n'
             f'nn.parameter @w2 : {down} = concat [<"w2">]\n')
    body = (f"  %e = nn.use @gain : tensor<{width}xf32>\n"
            f"  %h = nn.rms_norm %x, %e {{eps = 1.0e-5 : f64}} : {joint}, tensor<{width}xf32>\n"
            f"  %r = nn.use @router : {x}\n  %w1 = nn.use @w1 : {up}\n  %w3 = nn.use @w3 : {up}\n"
            f"  %w2 = nn.use @w2 : {down}\n"
            f"  %s = nn.linear %h, %r : {joint}, {x}\n"
            f"  %weights, %places, %offsets = moe.route %s batch(%starts) {{choices = {choices} : i64, "
            f"normalize}}\n    : tensor<?x{number}xf32>, tensor<?xi32>\n"
            f"  %d = moe.dispatch %h by %places : {joint}, {rows_}\n"
            f"  %m = moe.experts %d by %offsets gate %w1 up %w3 down %w2 : {joint}, {offsets}, {up}, {up}, {down}\n"
            f"  %c = moe.combine %m by %places weighted %weights : {joint}, {rows_}, tensor<?x{choices}xf32>\n"
            f"  %o = nn.residual %h, %c {{alpha = 1.5 : f64, beta = 0.75 : f64}} : {joint}\n")
    return STEP.format(width=width, table=tensor(vocabulary, width, dtype="bf16"), gain=tensor(width),
                       extra=extra, joint=joint, body=body, **state_arguments([]))


def buckets(tokens, slots):
    """A bucket for each count, of varying numbers of sequences; every token can have logits."""
    return ",".join(f"{t}x{min(t, slots, 1 + 3 * i)}x{t}" for i, t in enumerate(tokens))


def steps(seed, small):
    source = random.Random(seed)
    lightning = ((2, 64),) if small else ((4, 64), (2, 128), (3, 40), (16, 128), (2, 16))
    attention = ((4, 2, 64, 64),) if small else ((4, 2, 64, 64), (8, 1, 128, 64), (16, 2, 128, 0),
                                                 (8, 8, 128, 128), (3, 1, 40, 16), (64, 8, 128, 64))
    mixtures = ((4, 2, 192, 192),) if small else ((4, 2, 192, 192), (32, 2, 128, 256), (8, 1, 64, 40),
                                                  (5, 3, 72, 24), (16, 4, 256, 64))
    for heads, size in lightning:
        yield step_case(f"lightning-{heads}x{size}", lightning_step(heads, size, 32), small, source,
                        {"table": ((32, 3 * heads * size), 0.5)}, {**F32, "bf16": "bf16-attention"})
    for heads, groups, size, rotated in attention:
        yield step_case(f"attention-{heads}x{groups}x{size}",
                        attention_step(heads, groups, size, 32, rotated), small, source,
                        {"table": ((32, (heads + 2 * groups) * size), 0.5)},
                        {**F32, "bf16": "bf16-attention", "f8": "f8-attention"})
    for number, choices, width, inner in mixtures:
        up, down = ((number, inner, width), width ** -0.5), ((number, width, inner), inner ** -0.5)
        yield step_case(f"experts-{number}x{choices}x{width}x{inner}",
                        experts_step(number, choices, width, inner, 32), small, source,
                        {"table": ((32, width), 0.5), "router": ((number, width), 2 * width ** -0.5),
                         "w1": up, "w3": up, "w2": down},
                        {**F32, "bf16": "bf16", **({} if number * width * inner > 200_000 else
                                                   {"int8": "bf16", "int4": "bf16"})})


# The definition of a wide step needs more scratch memory than a kernel of the host may have; the
# longest batches are those of narrow ones.
LONGEST = {"attention-8x1x128": 129, "lightning-16x128": 65, "attention-64x8x128": 9, "attention-16x2x128": 129,
           "attention-8x8x128": 65}


def step_case(name, text, small, source, weights, kinds):
    slots = 4 if small else 20
    tokens = [t for t in (SMALL_TOKENS if small else TOKENS) if t <= LONGEST.get(name, t)]
    return Case(name, text, safetensors(weights, source),
                ("--buckets", buckets(tokens, slots), "--slots", str(slots), "--max-context", "300"),
                kinds=kinds, padding_id=31)


def sources(seed, small=False):
    """All cases; with `small` the few that show that every kind of kernel compiles."""
    yield from products(small)
    yield from rows(small)
    yield from steps(seed, small)
