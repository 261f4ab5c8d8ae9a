#!/usr/bin/env python3
"""Packs what a machine with a GPU needs to check and measure Levin: tools/check-gpu.

The folder holds programs, artifacts, weights, benchmarks of kernels, and the script `run`
(tools/testing/gpu_run.sh), which needs bash and the NVIDIA driver, no compiler and no Python.
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / os.environ.get("LEVIN_BUILD_DIR", "build")
BIN = BUILD / "bin"
PROGRAMS = ("levin-run", "levin-bench", "levin-inspect", "cuda-run-cases")
KERNELS = ("attention", "experts", "gemm", "gemm_simt", "gemv", "lightning", "route")

# Artifacts for whole models: name, folder or source, options of levin-compile, whether weights
# are packed, and the benchmarks: options of levin-bench.
MODELS = (
    ("tiny-f32", "models/tiny-python", ("--activations", "f32", "--buckets", "1,4x4,64x4,256x4"),
     True, ()),
    ("tiny-bf16", "models/tiny-python", ("--buckets", "1,4x4,16x16,512x4", "--slots", "16"), True,
     (("-p", "512", "-n", "128", "-b", "1,16"),)),
    # The geometry of MiniMax-Text-01 cut to 8 layers: 90 GB of random weights, made on the GPU.
    ("text01-8", "test/bench/text01_8",
     ("--random-weights", "--buckets", "1,4x4,16x16,32x32,128x20,1024x4,8192x4", "--slots", "32",
      "--max-context", "128K", "--kv-pages", "6144"), False,
     (("-p", "512,8192", "-n", "32", "-b", "1", "--kernels"),
      ("-p", "0", "-n", "32", "-b", "16,32"),
      ("-p", "0", "-n", "32", "-d", "65536", "-r", "3"),
      ("-p", "0", "-n", "0", "-d", "4096", "--mixed", "2x50", "--mixed", "18x1",
       "--mixed", "2x50+18x1"))),
)
# What the trained model is held to: its golden logits in float32, its golden loss in bf16.
VERIFY = (("tiny-f32", ()), ("tiny-bf16", ("--tolerance", "0.1", "--loss-tolerance", "0.5",
                                           "--mean-tolerance", "0.01")))


class Failed(Exception):
    pass


def run(*command, **options):
    result = subprocess.run([str(c) for c in command], cwd=ROOT, text=True, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if result.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}\n{result.stdout[-4000:]}")
    return result.stdout


def build():
    print("build    programs and benchmarks of kernels", flush=True)
    run("cmake", "--preset", "dev", "-B", BUILD, "-DLEVIN_BUILD_BENCH=ON")
    run("ninja", "-C", BUILD, "levin-compile", *PROGRAMS, "cuda-write-cases", "cuda-bench")


def pack_programs(folder):
    (folder / "bin").mkdir()
    for name in (*PROGRAMS, *(f"cuda-{kernel}" for kernel in KERNELS)):
        shutil.copy(BIN / name, folder / "bin" / name)
        run("strip", folder / "bin" / name)
    shutil.copy(ROOT / "tools/testing/gpu_run.sh", folder / "run")
    (folder / "run").chmod(0o755)


def pack_conformance(folder, small):
    """What does not compile stays in the list of cases, so that it counts as failed there, too."""
    problems = []
    sets = [("conformance", small)] + ([] if small else [("memcheck", True)])  # checkers are slow
    for name, few in sets:
        print(f"compile  {name} cases", flush=True)
        try:
            run(sys.executable, ROOT / "test/conformance/cuda/conformance.py", BIN, folder / name,
                "--jobs", os.cpu_count() or 1, *(["--small"] if few else []))
        except Failed as failure:
            problems.append(str(failure))
    (folder / "kernels").mkdir()
    for source in sorted((ROOT / "test/conformance/cuda").glob("*.mlir")):
        run(BIN / "cuda-write-cases", source, folder / "kernels" / f"{source.stem}.cases")
    return problems


def pack_models(folder, small):
    (folder / "models").mkdir()
    verify, bench = [], []
    for name, source, options, weights, benchmarks in MODELS:
        if small and not weights:
            continue
        print(f"compile  {name}", flush=True)
        artifact = folder / "models" / f"{name}.lvn"
        run(BIN / "levin-compile", ROOT / source, "-o", artifact, "--target", "cuda", "--quiet",
            *options)
        pathlib.Path(f"{artifact}.weights").unlink(missing_ok=True)
        if weights:
            for file in (ROOT / source).glob("*.safetensors"):
                shutil.copy(file, folder / "models")
        random = [] if weights else ["--random-weights", "1"]
        bench += [" ".join([f"{name}.lvn", *random, *row]) for row in benchmarks]
    for name, options in VERIFY:
        verify.append(" ".join([f"{name}.lvn", *options]))
    (folder / "models/verify.txt").write_text("".join(line + "\n" for line in verify))
    (folder / "models/bench.txt").write_text("".join(line + "\n" for line in bench))


def pack(folder, small):
    if folder.exists() and any(folder.iterdir()):
        raise Failed(f"error LV2004: {folder} is not empty\n  fix: name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    build()
    pack_programs(folder)
    problems = pack_conformance(folder, small)
    pack_models(folder, small)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    (folder / "commit").write_text(commit.stdout)
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"packed   {folder}: {size / 2**20:.0f} MiB; on a machine with a GPU: {folder.name}/run")
    if problems:
        raise Failed("\n".join(problems))


def has_gpu():
    return any(pathlib.Path("/dev").glob("nvidia[0-9]*"))


def main():
    parser = argparse.ArgumentParser(prog="tools/check-gpu", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="fill a folder to be copied to a machine with a GPU")
    packing.add_argument("folder", type=pathlib.Path)
    packing.add_argument("--tar", type=pathlib.Path, help="also write it as a .tar.gz")
    running = commands.add_parser("run", help="pack and run here")
    for command in (packing, running):
        command.add_argument("--small", action="store_true", help="a few cases, no large model")
    arguments = parser.parse_args()
    try:
        if arguments.command == "pack":
            pack(arguments.folder.resolve(), arguments.small)
            if arguments.tar:
                with tarfile.open(arguments.tar, "w:gz") as archive:
                    archive.add(arguments.folder, arguments.folder.resolve().name)
            return 0
        if not has_gpu():
            print("error LV8002: there is no GPU here\n"
                  "  have: no /dev/nvidia0\n"
                  "  fix: tools/check-gpu pack DIR, and start DIR/run on a machine that has one",
                  file=sys.stderr)
            return 8
        folder = BUILD / "gpu"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            pack(folder, arguments.small)
        except Failed as failure:
            if not (folder / "commit").exists():
                raise
            print(failure, file=sys.stderr)
        return subprocess.run([folder / "run"]).returncode
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
