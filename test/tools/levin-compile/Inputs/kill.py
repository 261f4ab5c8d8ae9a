"""Kills a compilation at many moments: kill.py OUTPUT COMMAND ..

The output is absent or a whole artifact afterwards, and an older one is there or replaced.
"""

import os
import subprocess
import sys
import time

output, command = sys.argv[1], sys.argv[2:]
MOMENTS = 12

began = time.monotonic()
subprocess.run(command, check=True)
whole = time.monotonic() - began
with open(output, "rb") as file:
    expected = file.read()

killed = 0
for old in (None, b"an older file"):
    for moment in range(MOMENTS):
        if os.path.exists(output):
            os.remove(output)
        if old:
            with open(output, "wb") as file:
                file.write(old)
        process = subprocess.Popen(command)
        time.sleep(whole * (moment + 0.5) / MOMENTS)
        process.kill()
        killed += process.wait() != 0
        if os.path.exists(output):
            with open(output, "rb") as file:
                content = file.read()
            if content not in (old, expected):
                sys.exit(f"moment {moment}: {len(content)} bytes of {len(expected)}")
        elif old:
            sys.exit(f"moment {moment}: the older file is gone")
if not killed:
    sys.exit("nothing was killed")
print("killed")
