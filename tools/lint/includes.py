#!/usr/bin/env python3
"""Who may include what: docs/architecture.md, "Folders and what each may know"."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "testing"))
from repository import finish, text_of, tracked  # noqa: E402

# Folder -> what it may include of ours, and whether of LLVM and MLIR.
RULES = {
    "runtime": (("runtime",), False),
    "dialects": (("dialects", "runtime/base"), True),
    "passes": (("passes", "dialects", "runtime/base"), True),
    "codegen": (("codegen", "passes", "dialects", "runtime/artifact", "runtime/base"), True),
    "models": (("models", "dialects", "runtime/base", "runtime/weights"), True),
    "tools/levin-run": (("tools", "runtime"), False),
    "tools/levin-bench": (("tools", "runtime"), False),
    "tools/levin-inspect": (("tools", "runtime"), False),
    "tools/common": (("tools", "runtime"), False),
}
OURS = ("runtime/", "dialects/", "passes/", "codegen/", "models/", "tools/")
INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.M)
findings = []
for path in tracked(".cpp", ".h", ".c"):
    for folder, (allowed, compiler) in RULES.items():
        if not str(path).startswith(folder + "/"):
            continue
        for name in INCLUDE.findall(text_of(path)):
            if name.startswith(OURS) and not name.startswith(tuple(a + "/" for a in allowed)):
                findings.append(f"{path}: includes {name}; {folder} may include {', '.join(allowed)}")
            if not compiler and name.startswith(("mlir", "llvm")):
                findings.append(f"{path}: includes {name}; {folder} knows neither LLVM nor MLIR")
finish(findings)
