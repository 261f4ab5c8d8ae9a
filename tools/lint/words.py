#!/usr/bin/env python3
"""No promises in the tree, and none of the ways to end a process on bad input."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "testing"))
from repository import finish, text_of, tracked  # noqa: E402

PROMISES = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|not (yet )?implemented|unimplemented|\bstub(bed)?\b")
# Where IR and files of users are handled, failure is a diagnostic or a Status.
ENDINGS = re.compile(r"\b(exit|abort|_exit)\s*\(|report_fatal_error|llvm_unreachable|cl::opt<")
LIBRARIES = ("dialects/", "passes/", "codegen/", "models/", "runtime/")
findings = []
for path in tracked(".cpp", ".h", ".td", ".py", ".md", ".txt", ".cmake", ".c", ".fbs"):
    if path == pathlib.Path("tools/lint/words.py"):
        continue
    for i, line in enumerate(text_of(path).splitlines(), 1):
        if PROMISES.search(line):
            findings.append(f"{path}:{i}: a promise: {line.strip()}")
        if str(path).startswith(LIBRARIES) and path.suffix in (".cpp", ".h") and ENDINGS.search(line):
            findings.append(f"{path}:{i}: ends the process: {line.strip()}")
finish(findings)
