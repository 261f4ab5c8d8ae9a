#!/usr/bin/env python3
"""Every error number has a section in docs/errors.md and a test that names it."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "testing"))
from repository import finish, text_of, tracked  # noqa: E402

catalogue = re.findall(r'LEVIN_ERROR\((\d{4}), (\w+),', text_of("runtime/base/ErrorCodes.def"))
sections = re.findall(r"^## LV(\d{4}) (\w+)", text_of("docs/errors.md"), re.M)
tests = "\n".join(text_of(p) for p in tracked(".cpp", ".mlir", ".py", ".c", ".txt", ".test", ".h")
                  if str(p).startswith("test/"))
findings = []
numbers = [number for number, _ in catalogue]
for number in {n for n in numbers if numbers.count(n) > 1}:
    findings.append(f"ErrorCodes.def: LV{number} is there twice")
for number, name in catalogue:
    if (number, name) not in sections:
        findings.append(f"docs/errors.md: no section '## LV{number} {name}'")
    if not re.search(rf"\b{name}\b|LV{number}|\b{number}\b", tests):
        findings.append(f"test/: nothing tests LV{number} {name}")
for number, name in sections:
    if (number, name) not in catalogue:
        findings.append(f"docs/errors.md: LV{number} {name} is not in the catalogue")
finish(findings)
