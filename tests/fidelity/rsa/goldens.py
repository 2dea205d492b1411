#!/usr/bin/env python3
"""Recomputes every number of other programs that the tests of RDMs and networks compare with, and compares it with the committed one.

    python3 tests/fidelity/rsa/goldens.py                       compares; exit code 1 if a number differs
    python3 tests/fidelity/rsa/goldens.py pictures decoding     compares these
    python3 tests/fidelity/rsa/goldens.py --write               writes the JSON files anew
    python3 tests/fidelity/rsa/goldens.py --program PIPE        and compares what PIPE computes of pictures (against_program.py says what)

`scripts/rsa-goldens` makes the Python that has what is needed. Each name is a module here with a JSON file of its numbers; the module says whose
numbers they are, and within what they are compared. `activations` needs PyTorch and torchvision, `brains` data in the folder that PIPE_TEST_DATA
names.
"""

import argparse
import importlib
import json
import sys
import tempfile
import time
from pathlib import Path

from golden_files import HERE, Differs, beside, plain, require, text_of

NUMBERS = ["dissimilarities", "comparisons", "decoding", "scaling", "pictures", "weights", "activations", "brains"]


def activations(module, write):
    path = HERE / "activations.json"
    computed = plain(module.compute())
    if write:
        path.write_text(text_of(computed) + "\n")
    else:
        where = module.differs(computed, json.loads(path.read_text()))
        require(not where, f"{path.name}{where}")


def check(name, write):
    module = importlib.import_module(name)
    if name == "activations":
        activations(module, write)
    elif name == "brains" and not module.folder():
        return "NOT RUN"
    else:
        beside(module, write)
    return "written" if write else "same"


def of_program(program):
    """The comparisons with a program, each with its name."""
    import against_program
    with tempfile.TemporaryDirectory(prefix="rsa-goldens-", dir=program.parent) as folder:
        yield from against_program.comparisons(program, Path(folder))


def report(name, compare):
    began = time.monotonic()
    try:
        word = compare()
        print(f"{word:<10} {name} ({time.monotonic() - began:.1f} s)", flush=True)
        return 0
    except Differs as difference:
        print(f"DIFFERENT  {name}: {difference}", flush=True)
        return 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NUMBERS)}; all if none is given")
    parser.add_argument("--write", action="store_true", help="writes JSON files anew instead of comparing them")
    parser.add_argument("--without", action="append", default=[], metavar="NAME", help="leaves one out")
    parser.add_argument("--program", type=Path, metavar="PIPE", help="compares what this program computes, instead of JSON files")
    given = parser.parse_args()
    unknown = [name for name in given.names + given.without if name not in NUMBERS]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(NUMBERS)}")
    if given.program:
        failed = sum(report(name, compare) for name, compare in of_program(given.program.resolve()))
    else:
        names = [name for name in given.names or NUMBERS if name not in given.without]
        failed = sum(report(name, lambda: check(name, given.write)) for name in names)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    sys.exit(main())
