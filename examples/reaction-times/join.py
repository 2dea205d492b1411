"""Joins tables with the same columns; the name of each file begins with the coordinates of its stage."""

import sys
from pathlib import Path

header = None
for path in sorted(Path(sys.argv[1]).iterdir()):
    first, *rows = path.read_text().splitlines()
    if header is None:
        header = first
        print(header)
    assert first == header, f"{path.name} has the columns {first}"
    print("\n".join(rows))
