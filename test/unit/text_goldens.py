#!/usr/bin/env python3
"""Makes the stored answers of the reference tokenizer for text_parity_test.cpp.

Run by hand, with the `tokenizers` package (0.23):  text_goldens.py [--train]

Strings come from a generator that the test repeats (text_hostile.h), so only digests of the ids are
stored, one for each block of 100 strings.  --train makes multilingual.json anew, the vocabulary that
the variants with other settings use.
"""
import hashlib
import json
import os
import sys

import tokenizers
from tokenizers import Tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "text_data")
TINY = os.path.join(HERE, "..", "..", "models", "tiny-python")
MASK = (1 << 64) - 1
BLOCK = 100


class Random:
    """SplitMix64."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        x = self.state
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
        return x ^ (x >> 31)

    def below(self, limit):
        return self.next() % limit


def code_point(random, limit):
    value = random.below(limit - 0x800)
    return chr(value + 0x800 if value >= 0xD800 else value)


def hostile(atoms, seed):
    """String number `seed`."""
    random = Random(seed)
    length = 1 + random.below(24)
    if random.below(64) == 0:
        length *= 40
    text = ""
    for _ in range(length):
        kind = random.below(10)
        if kind < 7:
            unit = atoms[random.below(len(atoms))]
        elif kind == 7:
            unit = code_point(random, 0x10000)
        elif kind == 8:
            unit = chr(random.below(0x500))
        else:
            unit = code_point(random, 0x110000)
        if random.below(8) == 0:
            unit *= 1 + random.below(30)
        text += unit
    return text


def broken(atoms, seed):
    """Bytes number `seed`: a hostile string with bytes overwritten and cut off."""
    data = bytearray(hostile(atoms, seed).encode())
    random = Random(seed + (1 << 32))
    for _ in range(1 + random.below(8)):
        place = random.below(len(data))
        data[place] = random.below(256)
    return bytes(data[: len(data) - random.below(3)])


def variant(base, changes):
    """`base` (a tokenizer.json) with the top-level keys and keys of the model replaced.

    "without" drops the tokens that hold one of the characters, and their merges.
    """
    out = json.loads(json.dumps(base))
    for key, value in changes.items():
        if key == "model":
            out["model"].update(value)
        elif key == "string_merges":
            out["model"]["merges"] = [" ".join(pair) for pair in out["model"]["merges"]]
        elif key == "without":
            drop = lambda token: any(character in token for character in value)
            vocab, merges = out["model"]["vocab"], out["model"]["merges"]
            out["model"]["vocab"] = {k: v for k, v in vocab.items() if not drop(k)}
            out["model"]["merges"] = [pair for pair in merges if not drop(pair[0] + pair[1])]
        elif key != "base":
            out[key] = value
    return out


class Digests:
    """One digest for every BLOCK texts."""

    def __init__(self):
        self.list, self.hash, self.count = [], hashlib.sha256(), 0

    def add(self, tokenizer, text):
        ids = tokenizer.encode(text).ids
        line = ",".join(map(str, ids)) + "\n" + tokenizer.decode(ids, skip_special_tokens=False) + "\n"
        self.hash.update(line.encode())
        self.count += 1
        if self.count == BLOCK:
            self.flush()

    def flush(self):
        if self.count:
            self.list.append(self.hash.hexdigest()[:16])
        self.hash, self.count = hashlib.sha256(), 0

    def done(self):
        self.flush()
        return self.list


def train(atoms):
    tokenizer = Tokenizer(tokenizers.models.BPE())
    pattern = json.load(open(os.path.join(DATA, "variants.json")))["cl100k"]["pre_tokenizer"]
    pattern = pattern["pretokenizers"][0]["pattern"]["Regex"]
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([
        tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated"),
        tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=2000, show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet())
    texts = [hostile(atoms, seed) for seed in range(1000000, 1004000)]
    tokenizer.train_from_iterator(texts, trainer)
    document = json.loads(tokenizer.to_str())
    with open(os.path.join(DATA, "multilingual.json"), "w") as file:
        json.dump(document, file, ensure_ascii=True, separators=(",", ":"))


def main():
    atoms = json.load(open(os.path.join(DATA, "atoms.json")))
    if "--train" in sys.argv:
        train(atoms)
    tiny = json.load(open(os.path.join(TINY, "tokenizer.json")))
    multilingual = json.load(open(os.path.join(DATA, "multilingual.json")))
    variants = json.load(open(os.path.join(DATA, "variants.json")))
    goldens = {"tokenizers": tokenizers.__version__, "variants": {}}

    tokenizer = Tokenizer.from_str(json.dumps(tiny))
    heldout = open(os.path.join(TINY, "heldout.txt"), newline="").read()
    lines, whole = Digests(), Digests()
    for line in heldout.split("\n"):
        lines.add(tokenizer, line)
    whole.add(tokenizer, heldout)
    goldens["heldout_lines"], goldens["heldout"] = lines.done(), whole.done()

    for name, changes in variants.items():
        base = tiny if changes.get("base") == "tiny" else multilingual
        tokenizer = Tokenizer.from_str(json.dumps(variant(base, changes)))
        strings, bytes_ = Digests(), Digests()
        for seed in range(10000 if name in ("tiny", "cl100k") else 3000):
            strings.add(tokenizer, hostile(atoms, seed))
        for seed in range(20000, 21000):
            bytes_.add(tokenizer, broken(atoms, seed).decode("utf-8", errors="replace"))
        goldens["variants"][name] = {"strings": strings.done(), "broken": bytes_.done()}
        print(name, file=sys.stderr)

    tokenizer = Tokenizer.from_str(json.dumps(tiny))
    goldens["explicit"] = [{"text": text, "ids": tokenizer.encode(text).ids} for text in [
        "", " ", "a", "def f(x):\n    return x\n", "it's they'll WE'LL", "  two  spaces ",
        "\u00e9\u0301 \U0001f468\u200d\U0001f469\u200d\U0001f467", "x<|eos|>y", "\x00\x01", "\u4e2d\u6587"]]
    with open(os.path.join(DATA, "goldens.json"), "w") as file:
        json.dump(goldens, file, indent=1)
        file.write("\n")


main()
