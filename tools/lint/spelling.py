#!/usr/bin/env python3
"""codespell over sources, docs and the texts of .td files."""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "testing"))
from repository import ROOT, tracked  # noqa: E402

files = [p for p in tracked(".cpp", ".h", ".td", ".py", ".md", ".cmake", ".c", ".fbs", ".mlir")
         if "tiny-python" not in p.parts]
# Words that codespell takes for mistakes: names of ours and of libraries.
IGNORE = "mut,nd,ond,fo,te,ot,inout,hist,ans,thre,ue,nin,ro,ser,als,crate,tre,falsy"
result = subprocess.run(["codespell", "--ignore-words-list", IGNORE, *map(str, files)], cwd=ROOT)
sys.exit(result.returncode)
