"""What lints and document tests share: the files git tracks, and how a finding ends the program."""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def tracked(*suffixes):
    """Paths (relative to the root) that git tracks and whose names end so."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True,
                           text=True).stdout.split("\0")
    return [pathlib.Path(n) for n in names
            if n and n.endswith(suffixes) and (ROOT / n).is_file()]


def text_of(path):
    return (ROOT / path).read_text(encoding="utf-8")


def finish(findings):
    for finding in findings:
        print(finding)
    sys.exit(1 if findings else 0)
