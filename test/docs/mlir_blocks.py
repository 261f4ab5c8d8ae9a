"""Runs every ```mlir block of the .td files and the documents through levin-opt.

usage: mlir_blocks.py SOURCE_FOLDER LEVIN_OPT [ARGUMENT..]

A block that is a type alone becomes the type of an argument.  docs/reference is made from the .td
files and left out.
"""

import pathlib
import re
import shlex
import subprocess
import sys
import textwrap


def files(source):
    for folder in ("dialects", "passes", "codegen"):
        yield from sorted((source / folder).rglob("*.td"))
    yield from (path for path in sorted(source.rglob("*.md"))
                if path.relative_to(source).parts[:2] != ("docs", "reference")
                and not any(part == "build" or part.startswith(".") for part in path.parts))


def blocks(text):
    for match in re.finditer(r"^[ \t]*```mlir\n(.*?)^[ \t]*```", text, re.S | re.M):
        line = text.count("\n", 0, match.start()) + 2
        yield line, textwrap.dedent(match.group(1))


def program(block):
    if re.fullmatch(r"!\S.*\n", block):
        return "func.func private @f(%s)\n" % block.strip()
    return block


def main():
    source, command = pathlib.Path(sys.argv[1]), shlex.split(sys.argv[2]) + sys.argv[3:]
    count, failures = 0, 0
    for path in files(source):
        for line, block in blocks(path.read_text()):
            count += 1
            done = subprocess.run(command, input=program(block), capture_output=True, text=True)
            if done.returncode != 0:
                failures += 1
                print("FAILED %s:%d\n%s" % (path.relative_to(source), line, done.stderr[:2000]))
    print("%d blocks, %d failures" % (count, failures))
    sys.exit(1 if failures else 0)


main()
