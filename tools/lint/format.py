#!/usr/bin/env python3
"""C++ is formatted by clang-format 22 (`tools/lint/format.py --fix` rewrites)."""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "testing"))
from repository import ROOT, tracked  # noqa: E402

files = [str(p) for p in tracked(".cpp", ".h", ".c")]
mode = ["-i"] if "--fix" in sys.argv[1:] else ["--dry-run", "-Werror"]
sys.exit(subprocess.run(["clang-format-22", *mode, *files], cwd=ROOT).returncode)
