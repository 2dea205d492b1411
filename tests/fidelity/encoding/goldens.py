#!/usr/bin/env python3
"""Recomputes every number of other programs that the tests of encoding models and flat maps compare with, and compares it with the committed one.

    python3 tests/fidelity/encoding/goldens.py              compares; exit code 1 if a number differs
    python3 tests/fidelity/encoding/goldens.py ridge pca    compares these
    python3 tests/fidelity/encoding/goldens.py --write      writes the JSON files anew; numbers in Rust are compared in any case

`scripts/encoding-goldens` makes the Python that has what is needed. Numbers are compared, not bytes: JSON of ridge.py and inference.py within
1e-9 (relative above 1), numbers in Rust within 1e-9 (whole numbers exactly), points of a grid inside an outline within 2, samples of flat maps
within 1e-5 at 99.9 % of the pixels, signs of curvature at 99.9 % of the vertices, pixels of a mask exactly.
"""

import argparse
import ast
import base64
import contextlib
import io
import json
import re
import runpy
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
STAGES = HERE.parents[2] / "stages/src"
NUMBER = re.compile(r"(?<![\w.])-?\d[\d_]*(?:\.\d[\d_]*)?(?:e-?\d+)?(?![\w.])")

# The lines of make_data_goldens.py that begin with a word, and the file with their numbers.
DATA = {
    "words": "numeric/legacy_random.rs",
    "shuffled": "numeric/legacy_random.rs",
    "choose": "split/legacy.rs",
    "z-scored": "matrix/zscore.rs",
    "pca": "matrix/pca.rs",
}


class Differs(Exception):
    """What differs, in a sentence."""


def require(holds, what):
    if not holds:
        raise Differs(what)


def output_of(script, *arguments):
    """What a script beside this one prints."""
    printed, words = io.StringIO(), sys.argv
    sys.argv = [script, *arguments]
    try:
        with contextlib.redirect_stdout(printed):
            runpy.run_path(str(HERE / script), run_name="__main__")
    except SystemExit as end:
        require(not end.code, f"{script} ended with {end.code}")
    finally:
        sys.argv = words
    return printed.getvalue()


def numbers_of(path):
    """Every number that is written in a file, in order."""
    return np.array([float(word.replace("_", "")) for word in NUMBER.findall(path.read_text())])


def has_run(numbers, wanted):
    """Whether numbers follow each other in a longer list, each within 1e-9, whole ones exactly."""
    if len(wanted) > len(numbers):
        return False
    windows = np.lib.stride_tricks.sliding_window_view(numbers, len(wanted))
    wanted = np.array(wanted, float)
    tolerance = np.where(wanted == np.round(wanted), 0, 1e-9 * np.maximum(1, abs(wanted)))
    return bool((abs(windows - wanted) <= tolerance).all(1).any())


def lists_of(text):
    """The innermost lists of a line, and its numbers outside of lists as lists of one."""
    lists = [ast.literal_eval(found) for found in re.findall(r"\[[^\[\]]*\]", text)]
    return lists + [[float(word)] for word in re.sub(r"\[.*\]", " ", text).split()]


def data(words):
    lines = [re.match(r"(.*?)(?:: | )(\[.*|\d+)$", line).groups() for line in output_of("make_data_goldens.py").splitlines()]
    lines = [(what, numbers) for what, numbers in lines if what.split()[0] in words]
    require(lines, f"make_data_goldens.py prints nothing about {words}")
    for what, printed in lines:
        path = STAGES / DATA[what.split()[0]]
        there = numbers_of(path)
        if what.endswith("share"):  # of three shares, the test has one
            require(any(has_run(there, [share]) for share in lists_of(printed)[0]), f"{path.name} has none of {what}: {printed}")
            continue
        for numbers in lists_of(printed):
            require(has_run(there, numbers), f"{path.name} does not have {what}: {numbers}")


def difference(close, found, expected):
    """The place of the first number that differs and both numbers, or nothing."""
    if close(found, expected):
        return ""
    if isinstance(expected, dict) and found.keys() == expected.keys():
        return next(f".{key}{where}" for key in expected if (where := difference(close, found[key], expected[key])))
    if isinstance(expected, list) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected))
        return next(f"[{at}]{where}" for at, two in pairs if (where := difference(close, *two)))
    return f" is {expected}, computed was {found}"


def beside(module, write):
    """The JSON file of a module that has `compute` and `close`."""
    computed = module.compute()
    path = HERE / f"{module.__name__}.json"
    if write:
        path.write_text(json.dumps(computed, indent=1) + "\n")
    else:
        where = difference(module.close, computed, json.loads(path.read_text()))
        require(not where, f"{path.name}{where}")


def ridge(write):
    import ridge as module
    beside(module, write)


def inference(write):
    import inference as module
    beside(module, write)


def penalties():
    """The 20 penalties of the lab, three of them negative."""
    made = np.logspace(np.log(0.0001), np.log(10**10 + 0.01), 20, dtype=np.float32, base=np.e) - 0.01
    path = STAGES / "encode/penalty_grid.rs"
    # Written with as many digits as make them again.
    with np.errstate(over="ignore"):
        there = numbers_of(path).astype(np.float32)
    lacking = [float(penalty) for penalty in made if penalty not in there]
    require(not lacking, f"{path.name} does not have {lacking}")


def store():
    from cortex.database import db
    return Path(db.filestore) / "S1"


def overlay():
    lines = output_of("overlay_golden.py", str(store() / "overlays.svg")).splitlines()
    made = [ast.literal_eval(line.rstrip(",")) for line in lines if line.startswith("(")]
    path = STAGES / "formats/overlay.rs"
    there = [(layer, name, int(paths), int(points)) for layer, name, paths, points
             in re.findall(r'\("(\w+)", "(\w+)", (\d+), (\d+)\)', path.read_text())]
    require(made and [row[:3] for row in made] == [row[:3] for row in there], f"{path.name} has other regions than {made}")
    for found, expected in zip(made, there):
        require(abs(found[3] - expected[3]) <= 2, f"{path.name} has {expected}, pycortex {found}")


def flatmaps(write):
    path = HERE / "flatmaps.json"
    made = path if write else path.with_suffix(".new.json")
    try:
        output_of("flatmaps.py", "--golden", str(made))
        if not write:
            compare_flatmaps(json.loads(made.read_text()), json.loads(path.read_text()))
    finally:
        if made != path:
            made.unlink(missing_ok=True)


def compare_flatmaps(made, there):
    unpack = lambda text, kind: np.frombuffer(base64.b64decode(text), kind)
    require(made.keys() == there.keys(), f"flatmaps.json has {sorted(there)}, made were {sorted(made)}")
    for key, expected in there.items():
        found = made[key]
        if key.startswith("values"):
            one, other = unpack(found, "<f4"), unpack(expected, "<f4")
            require(one.shape == other.shape, f"`{key}` has {len(other)} numbers, made were {len(one)}")
            share = ((abs(one - other) <= 1e-5) | (np.isnan(one) & np.isnan(other))).mean()
            require(share >= 0.999, f"`{key}` is within 1e-5 at {share:.5f} of the pixels")
        elif key == "gyri":
            share = (np.unpackbits(unpack(found, "u1")) == np.unpackbits(unpack(expected, "u1"))).mean()
            require(share >= 0.999, f"signs of curvature are equal at {share:.5f} of the vertices")
        elif isinstance(expected, (float, list)):
            require(np.allclose(found, expected, rtol=1e-3, atol=1e-3), f"`{key}` is {expected}, made was {found}")
        else:
            require(found == expected, f"`{key}` differs")


def mask():
    """The pixels of S1's mask at height 256."""
    printed = output_of("flatmaps.py", "--count", "256").splitlines()[-1]
    pixels, digest, width, height = re.match(r"(\d+) pixels, sha256 (\w+), of \((\d+), (\d+)\)", printed).groups()
    path = STAGES / "cortex/pycortex_golden.rs"
    numbers = numbers_of(path)
    require(has_run(numbers, [float(height)]) and has_run(numbers, [float(width), float(pixels)]), f"{path.name} does not have {printed}")
    require(digest in path.read_text(), f"{path.name} has another digest than {digest}")


CHECKS = {
    "ridge": ridge,
    "inference": inference,
    "penalties": lambda write: penalties(),
    "shuffle": lambda write: data(["words", "shuffled", "choose"]),
    "zscore": lambda write: data(["z-scored"]),
    "pca": lambda write: data(["pca"]),
    "overlay": lambda write: overlay(),
    "mask": lambda write: mask(),
    "flatmaps": flatmaps,
}
# Those in JSON files.
WRITTEN = ["ridge", "inference", "flatmaps"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CHECKS)}; all if none is given")
    parser.add_argument("--write", action="store_true", help="writes JSON files anew instead of comparing them")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in CHECKS]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(CHECKS)}")
    failed = 0
    for name in given.names or CHECKS:
        began = time.monotonic()
        try:
            CHECKS[name](given.write)
            word = "written" if given.write and name in WRITTEN else "same"
            print(f"{word:<10} {name} ({time.monotonic() - began:.1f} s)", flush=True)
        except Differs as difference:
            failed += 1
            print(f"DIFFERENT  {name}: {difference}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    sys.exit(main())
