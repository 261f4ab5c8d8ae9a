"""Compares quoted code in the documents with the files it is from: a block whose first line is
```LANGUAGE file=PATH must occur in that file, line by line.

usage: quotes.py SOURCE_FOLDER
"""

import pathlib
import re
import sys
import textwrap


def main():
    source = pathlib.Path(sys.argv[1])
    count, failures = 0, 0
    for document in sorted((source / "docs").rglob("*.md")):
        text = document.read_text()
        for match in re.finditer(r"^[ \t]*```\w+ file=(\S+)\n(.*?)^[ \t]*```", text, re.S | re.M):
            count += 1
            quoted = textwrap.dedent(match.group(2))
            if quoted not in (source / match.group(1)).read_text():
                failures += 1
                line = text.count("\n", 0, match.start()) + 1
                print("FAILED %s:%d is not in %s" % (document.relative_to(source), line, match.group(1)))
    print("%d quotes, %d failures" % (count, failures))
    sys.exit(1 if failures else 0)


main()
