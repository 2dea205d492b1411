"""Whether a folder is the original's code, at the commit that this check is about.

    original.py FOLDER    exit code 1 and a sentence if it is not

Needs the standard library of Python 3.9 or later.
"""

import hashlib
import sys
from pathlib import Path

import steps

# What runs or is read here, by patterns.
PARTS = (
    "benson2025/analysis.ipynb",
    "benson2025/hyperparameters/grid-params.json",
    "benson2025/hyperparameters/scripts/gen-gridparams.py",
    "benson2025/training-regimes/**/*.json",
    "src/**/*.py",
)


def digest(folder):
    """Of the files that run or are read here, by name and content."""
    found = hashlib.sha256()
    inside = [path for pattern in PARTS for path in folder.glob(pattern)]
    for path in sorted(inside, key=lambda path: path.relative_to(folder).as_posix()):
        content = path.read_bytes()
        found.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return found.hexdigest()


def check(folder):
    if not (folder / "src/visual_autolabel").is_dir():
        sys.exit(f"error: `{folder}` has no src/visual_autolabel; give a checkout of noahbenson/visual-autolabel at {steps.COMMIT}")
    if digest(folder) != steps.DIGEST:
        sys.exit(f"error: `{folder}` is not noahbenson/visual-autolabel at {steps.COMMIT}: files differ; run `git checkout {steps.COMMIT[:12]}` there")


if __name__ == "__main__":
    check(Path(sys.argv[1]))
