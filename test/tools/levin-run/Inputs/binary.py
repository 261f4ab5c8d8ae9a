"""The runtime stays small and knows no compiler: what a program links, and its size when stripped."""
import pathlib
import subprocess
import sys
import tempfile

LIMIT = 8 << 20
for name in sys.argv[1:]:
    libraries = subprocess.run(["ldd", name], check=True, capture_output=True, text=True).stdout
    found = [line.split()[0] for line in libraries.splitlines()
             if any(word in line for word in ("LLVM", "MLIR", "cuda", "python"))]
    if found:
        sys.exit(f"{name} links {found}")
    with tempfile.TemporaryDirectory() as folder:
        stripped = pathlib.Path(folder) / "stripped"
        subprocess.run(["strip", "-o", stripped, name], check=True)
        size = stripped.stat().st_size
    if size >= LIMIT:
        sys.exit(f"{name} has {size} bytes stripped, at most {LIMIT - 1}")
    print(f"{pathlib.Path(name).name}: {size} bytes stripped, links no compiler")
