#!/usr/bin/env python3
"""A source file is about one subject: at most 600 lines, lines of at most 100 columns (C++)."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "testing"))
from repository import finish, text_of, tracked  # noqa: E402

LIMIT = 600
findings = []
for path in tracked(".cpp", ".h", ".td", ".py", ".c", ".cmake", ".fbs", ".mlir"):
    lines = text_of(path).splitlines()
    if len(lines) > LIMIT:
        findings.append(f"{path}: {len(lines)} lines, at most {LIMIT}: split it by subject")
    if path.suffix in (".cpp", ".h", ".c"):
        findings += [f"{path}:{i}: {len(line)} columns, at most 100"
                     for i, line in enumerate(lines, 1) if len(line) > 100]
finish(findings)
