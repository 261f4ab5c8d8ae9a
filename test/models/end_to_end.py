#!/usr/bin/env python3
"""Model folder -> artifact -> results, against stored references.

    end_to_end.py BIN WORK CHECK [ARGUMENT..]

BIN holds the programs, WORK is a folder for artifacts.  Checks:
    golden FOLDER TOLERANCE      logits and greedy ids of golden.safetensors
    losses FOLDER                every token's loss of golden_nll.safetensors, in several splits
    text FOLDER                  greedy text of golden.json
    ragged FOLDER                sequences packed, split and in any bucket agree with each alone
"""
import json
import pathlib
import random
import subprocess
import sys

import safetensors

BIN, WORK = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])


def run(*command):
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True,
                            stdin=subprocess.DEVNULL)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nexit {result.returncode}\n{result.stderr}")
    return result.stdout


def compile_model(folder, *options, name=None):
    WORK.mkdir(parents=True, exist_ok=True)
    artifact = WORK / f"{name or folder.name}.lvn"
    run(BIN / "levin-compile", folder, "-o", artifact, "--progress=off", *options)
    return artifact


def levin_run(command, artifact, folder, *options):
    # --validate poisons what a step must not read, padding included.
    return run(BIN / "levin-run", command, artifact, "--weights", folder, "--quiet", "--validate",
               *options)


def text_of(ids):
    return ",".join(map(str, ids))


def logits_of(artifact, folder, sequences, *options):
    """The logits [positions][vocabulary] of each sequence, fed in one run."""
    path = WORK / f"{artifact.stem}-logits.safetensors"
    prompts = [part for ids in sequences for part in ("--ids", text_of(ids))]
    levin_run("generate", artifact, folder, *prompts, "--max-tokens", 0, "--logits", path, *options)
    stored = safetensors.read(path)
    names = ["logits"] if len(sequences) == 1 else [f"logits_{i}" for i in range(len(sequences))]
    result = []
    for name in names:
        (rows, columns), values = stored[name]
        result.append([values[r * columns:(r + 1) * columns] for r in range(rows)])
    return result


def difference(got, want):
    """Largest |got - want|; anything that is no number is infinitely wrong."""
    worst = 0.0
    for a, b in zip(got, want, strict=True):
        if a == b:
            continue
        d = abs(a - b)
        worst = max(worst, d if d == d else float("inf"))
    return worst


def check_golden(folder, tolerance):
    artifact = compile_model(folder, "--max-context", 2048)
    stored = safetensors.read(folder / "golden.safetensors")
    failures = []
    for name in sorted(stored):
        kind, _, length = name.partition("_")
        if kind == "logits":
            (_, rows, columns), values = stored[name]
            ids = list(stored[f"ids_{length}"][1])
            got = logits_of(artifact, folder, [ids])[0]
            worst = max(difference(got[len(got) - rows + r], values[r * columns:(r + 1) * columns])
                        for r in range(rows))
            print(f"{name}: max |error| {worst:.2e}")
            if not worst <= tolerance:
                failures.append(name)
        elif kind == "gen" and "nocache" not in name:
            want = list(stored[name][1])
            ids = list(stored[f"ids_{length}"][1])
            got = levin_run("generate", artifact, folder, "--ids", text_of(ids), "--print-ids",
                            "--max-tokens", len(want), "--ignore-eos").split()
            same = [int(i) for i in got] == want
            print(f"{name}: {'same' if same else 'DIFFERS'}")
            if not same:
                failures.append(name)
    return failures


def check_losses(folder):
    artifact = compile_model(folder, "--max-context", 4352)
    stored = safetensors.read(folder / "golden_nll.safetensors")
    ids, want = list(stored["ids"][1]), stored["nll"][1]
    failures = []
    rng = random.Random(20)
    splits = [("one call", []), ("chunks of 1", ["--chunk", "1"]), ("chunks of 7", ["--chunk", "7"]),
              ("chunks of 256", ["--chunk", "256"])]
    for i in range(2):
        left, cuts = len(ids), []
        while left > 0:
            cuts.append(min(left, rng.choice([1, 2, 3, 31, 32, 33, 100, 255, 256, 257, 700])))
            left -= cuts[-1]
        splits.append((f"random split {i}", ["--chunk", text_of(cuts)]))
    for name, options in splits:
        path = WORK / f"{artifact.stem}-losses.safetensors"
        levin_run("score", artifact, folder, "--ids", text_of(ids), "--losses", path, *options)
        got = safetensors.read(path)["losses"][1]
        errors = [abs(a - b) for a, b in zip(got, want, strict=True)]
        mean = abs(sum(got) / len(got) - sum(want) / len(want))
        print(f"{name}: max |error| {max(errors):.2e}, of the mean {mean:.2e}")
        if not max(errors) <= 1e-4 or not mean <= 1e-5:
            failures.append(name)
    return failures


def check_text(folder):
    artifact = compile_model(folder)
    golden = json.loads((folder / "golden.json").read_text())
    failures = []
    for prompt in golden["prompts"]:
        count = len(prompt["greedy"])
        out = levin_run("generate", artifact, folder, "--prompt", prompt["prompt"], "--max-tokens",
                        count, "--print-ids", "--ignore-eos")
        same = [int(i) for i in out.split()] == prompt["greedy"]
        text = levin_run("generate", artifact, folder, "--prompt", prompt["prompt"], "--max-tokens",
                         count, "--ignore-eos")
        same = same and text == prompt["text"] + "\n"
        print(f"{prompt['prompt'][:30]!r}: {'same' if same else 'DIFFERS'}")
        if not same:
            failures.append(prompt["prompt"])
    levin_run("verify", artifact, folder)
    return failures + check_chat(artifact, folder)


def check_chat(artifact, folder):
    failures = []
    for lines, exit_code, part in [
            ("/set max-tokens 4\ndef f(x):\n/stats\n/exit\n", 0, "made 4 "),
            ("/set \n", 2, "nothing called ''"),
            ("/set max-tokens 5x\n", 2, "'5x' is no value"),
            ("/stat\n", 2, "did you mean '/stats'?")]:
        result = subprocess.run([BIN / "levin-run", "chat", artifact, "--weights", folder, "--quiet",
                                 "--chat-template", "chatml"],
                                input=lines, capture_output=True, text=True)
        good = result.returncode == exit_code and part in result.stdout + result.stderr
        print(f"chat {lines!r}: {'as expected' if good else result}")
        if not good:
            failures.append(lines)
    return failures


def check_ragged(folder):
    config = json.loads((folder / "config.json").read_text())
    rng = random.Random(7)
    lengths = [1, 31, 33, 7, 64, 2, 130]
    sequences = [[rng.randrange(config["vocab_size"]) for _ in range(n)] for n in lengths]
    first = compile_model(folder, "--buckets", "1,256", "--slots", 1, name=f"{folder.name}-alone")
    alone = [logits_of(first, folder, [ids])[0] for ids in sequences]
    largest = max(abs(v) for rows in alone for row in rows for v in row if abs(v) < 1e30)
    failures = []
    for buckets, slots, options in [("1,4x4,32x3,128x4x128", 4, []),
                                    ("7x3x7", 3, []),
                                    ("64x8x64", 8, ["--chunk", "5"]),
                                    ("512x16x512", 16, []),
                                    ("1,3x2,300x7x300", 7, ["--chunk", "33"])]:
        artifact = compile_model(folder, "--buckets", buckets, "--slots", slots,
                                 name=f"{folder.name}-ragged")
        order = list(range(len(sequences)))
        rng.shuffle(order)
        together = logits_of(artifact, folder, [sequences[i] for i in order], *options)
        worst = max(difference(a, b) for place, i in enumerate(order)
                    for a, b in zip(together[place], alone[i], strict=True)) / largest
        print(f"buckets {buckets}, {slots} slots, {' '.join(options)}: relative {worst:.2e}")
        if not worst <= 1e-5:
            failures.append(buckets)
    return failures


def main():
    check, folder = sys.argv[3], pathlib.Path(sys.argv[4])
    if check == "golden":
        failures = check_golden(folder, float(sys.argv[5]))
    else:
        failures = {"losses": check_losses, "text": check_text, "ragged": check_ragged}[check](folder)
    for failure in failures:
        print(f"FAILED: {failure}")
    sys.exit(1 if failures else 0)


main()
