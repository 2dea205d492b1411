#!/usr/bin/env python3
"""What encoding models cost next to himalaya on the same numbers, what sub-models and many voxels cost, and what flat maps do.

`scripts/bench-encoding` makes the Python and the program that this needs. 300 features, 8,100 stimuli to train, 900 to choose by, 1,000 to
test, 20 penalties, 32-bit floats, the same number of threads in both programs. Promised:

    10,000 voxels, fixed part to choose by    at least 20 x faster than himalaya's RidgeCV
    10,000 voxels, 5 folds                    likewise
    10,000 voxels, all 7 sub-models           at most 2.5 x the model with all three spaces
    2,000 voxels, banded, 100 mixtures        at least 20 x faster than himalaya, of which 10 mixtures are timed and scaled
    100,000 voxels, all 7 sub-models          at most 1.5 GB of resident memory
    S1 of pycortex, 1,024 pixels high         the mapping of pixels to voxels in at most 3 s, a map in at most 0.7 s

The two programs take turns, round after round, after a round that does not count; reported are the medians of the times and of the ratios. Ours
reads files and writes scores and predictions; himalaya fits and predicts arrays that are in memory, which is less. That both fit the same models
is checked by the median R2 on the test rows. A map is `map/scatter` and `figure/flatmap` of one map, from files to SVG, PDF and PNG. Exit code 1
if a promise is not kept.
"""

import argparse
import csv
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

TRAIN, CHOOSE, SPACES = 8100, 900, 3
FEW, MANY, BANDED = 10_000, 100_000, 2_000
# Mixtures that ours tries, and that himalaya does: its time is proportional to them.
MIXTURES, TIMED = 100, 10


class Ours:
    """The benchmark `encoding` of pipe-stages, started anew for each measurement."""

    def __init__(self, program, folder, voxels):
        self.program, self.folder, self.voxels = program, folder, voxels
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, *words):
        """Seconds, and the largest resident memory in bytes."""
        command = [self.program, str(self.folder), str(self.voxels), *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"error: `{' '.join(command)}` ended with {done.returncode}")
        seconds, memory = done.stdout.strip().split(" s, ")
        return float(seconds), int(memory.split()[0]) * 1024

    def seconds(self, *words):
        return self.run("precision=float32", *words)[0]

    def make_data(self):
        command = [self.program, str(self.folder), str(self.voxels), "only=data"]
        subprocess.run(command, check=True)
        # What is still to be written to disk is not charged to the first measurement.
        os.sync()

    def median_r2(self):
        with open(self.folder / "out/scores/table.csv", newline="") as file:
            return statistics.median(float(row["r2"]) for row in csv.DictReader(file))


class Himalaya:
    """himalaya on the arrays of a folder, in memory."""

    def __init__(self, folder, backend):
        import numpy as np
        from himalaya.backend import set_backend
        self.backend = set_backend(backend)
        read = lambda name: np.load(folder / name / "values.npy")
        self.spaces = np.split(read("features"), SPACES, axis=1)
        self.x, self.y = read("joined"), read("responses")
        self.penalties = np.logspace(-1, 8, 20).astype(np.float32)
        assert self.x.dtype == self.y.dtype == np.float32

    def cv(self, folds):
        from sklearn.model_selection import KFold, PredefinedSplit
        return KFold(5) if folds else PredefinedSplit([-1] * TRAIN + [0] * CHOOSE)

    def ridge(self, folds):
        """Seconds, and the median R2."""
        from himalaya.ridge import RidgeCV
        from himalaya.scoring import r2_score
        seen = TRAIN + CHOOSE
        began = time.monotonic()
        # All voxels and penalties at once: in batches (2,000 voxels, 5 penalties) it took a tenth longer.
        model = RidgeCV(alphas=self.penalties, fit_intercept=True, cv=self.cv(folds), solver_params={"warn": False})
        model.fit(self.x[:seen], self.y[:seen])
        scores = self.backend.to_numpy(r2_score(self.backend.asarray(self.y[seen:]), model.predict(self.x[seen:])))
        return time.monotonic() - began, float(statistics.median(map(float, scores)))

    def banded(self, mixtures):
        """Seconds."""
        from himalaya.ridge import solve_group_ridge_random_search
        seen = TRAIN + CHOOSE
        asarray = self.backend.asarray
        began = time.monotonic()
        solve_group_ridge_random_search(
            [asarray(x[:seen]) for x in self.spaces], asarray(self.y[:seen]), n_iter=mixtures, alphas=asarray(self.penalties),
            fit_intercept=True, cv=self.cv(False), return_weights=True, random_state=0, progress_bar=False, warn=False)
        return time.monotonic() - began


def in_turn(rounds, *sides):
    """The median of each side, and of the ratios of the second side to the first."""
    measured = [[side() for side in sides] for _ in range(rounds + 1)][1:]
    medians = [statistics.median(times) for times in zip(*measured)]
    return *medians, statistics.median(second / first for first, second in measured)


class Table:
    def __init__(self):
        self.broken = 0
        self.row("", "pipe", "next to it", "ratio", "promise")

    def row(self, what, ours, peer, ratio, promise):
        print(f"{what:<42}{ours:>12}{peer:>22}{ratio:>10}   {promise}", flush=True)

    def compared(self, what, peer, times, holds, promise):
        ours, theirs, ratio = times
        self.broken += not holds(ratio)
        self.row(what, f"{ours:.2f} s", f"{peer} {theirs:.2f} s", f"{ratio:.2f}", promise + ("" if holds(ratio) else ": NOT KEPT"))

    def alone(self, what, found, most, promise, unit):
        self.broken += found > most
        self.row(what, f"{found:.2f} {unit}", "", "", promise + ("" if found <= most else ": NOT KEPT"))


def models(options, table):
    folder = options.folder / "few"
    ours = Ours(options.ours, folder, FEW)
    ours.make_data()
    peer = Himalaya(folder, options.backend)
    for what, choose, folds in (("fixed part to choose by", "held-out", False), ("5 folds", "folds", True)):
        medians = {}

        def fit():
            seconds = ours.seconds("spaces=1", "contributions=false", f"choose={choose}")
            medians["ours"] = ours.median_r2()
            return seconds

        def fit_peer():
            seconds, medians["peer"] = peer.ridge(folds)
            return seconds

        times = in_turn(options.rounds, fit, fit_peer)
        table.compared(f"{FEW:,} voxels, {what}", "himalaya", times, lambda ratio: ratio >= 20, "at least 20")
        if abs(medians["ours"] - medians["peer"]) > 1e-3:
            sys.exit(f"error: the programs fitted other models: median R2 {medians['ours']:.5f} and {medians['peer']:.5f}")
    both = [lambda models=models: ours.seconds(f"models={models}", "contributions=false") for models in ("full", "all")]
    table.compared(f"{FEW:,} voxels, the largest and all 7 models", "all 7", in_turn(options.rounds, *both), lambda ratio: ratio <= 2.5,
                   "at most 2.5")


def banded(options, table):
    folder = options.folder / "banded"
    ours = Ours(options.ours, folder, BANDED)
    ours.make_data()
    peer = Himalaya(folder, options.backend)
    times = in_turn(options.rounds, lambda: ours.seconds("kind=encode/banded", f"draws={MIXTURES}"),
                    lambda: peer.banded(TIMED) * MIXTURES / TIMED)
    table.compared(f"{BANDED:,} voxels, banded, {MIXTURES} mixtures", "himalaya", times, lambda ratio: ratio >= 20, "at least 20")


def memory(options, table):
    ours = Ours(options.ours, options.folder / "many", MANY)
    ours.make_data()
    seconds, memory = ours.run("precision=float32", "models=all", "contributions=false")
    table.alone(f"{MANY:,} voxels, all 7 models, {seconds:.0f} s", memory / 1e9, 1.5, "at most 1.5 GB", "GB")
    shutil.rmtree(ours.folder)


def flat(options, table):
    ours = Ours(options.ours, options.folder / "flat", 0)
    if not (ours.folder / "out/files").is_dir():
        digest = "9fdb292a2df96bba6087ee07d428969ba1eb07ed03724bcfaca96ec8e28a5fd5"
        ours.run("kind=package/files", "package=pycortex==1.4.0", "files=filestore/db/S1/**", f"sha256={digest}")
    ours.run("kind=cortex/pycortex", "subject=S1")
    ours.run("kind=cortex/units", "transform=fullhead")
    rounds = [[ours.run(*words)[0] for words in (
        ("kind=cortex/flat", "height=1024", "transform=fullhead"),
        ("kind=map/scatter", "value=x", "transform=fullhead"),
        ("kind=figure/flatmap",),
    )] for _ in range(options.rounds + 1)][1:]
    mapping = statistics.median(row[0] for row in rounds)
    table.alone("mapping of S1, 1,024 pixels high", mapping, 3, "at most 3 s", "s")
    table.alone("a map on it, three files", statistics.median(sum(row[1:]) for row in rounds), 0.7, "at most 0.7 s", "s")


PARTS = {"models": models, "banded": banded, "memory": memory, "flat": flat}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True, help="the benchmark `encoding` of pipe-stages")
    parser.add_argument("--folder", type=Path, required=True, help="where data are made: 8 GB")
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds; one more comes before them")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--backend", default="numpy", help="himalaya's: numpy, or torch if it is installed")
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; may be repeated")
    options = parser.parse_args()
    # Read when the libraries are first imported, and by our program when it starts.
    for name in ("OMP", "OPENBLAS", "MKL", "RAYON"):
        os.environ[f"{name}_NUM_THREADS"] = str(options.threads)
    import himalaya
    print(f"{platform.processor() or platform.machine()}, {options.threads} threads, himalaya {himalaya.__version__} with {options.backend}, "
          f"{options.rounds} rounds, load {os.getloadavg()[0]:.1f}")
    table = Table()
    for part in options.only or PARTS:
        PARTS[part](options, table)
    print(f"load {os.getloadavg()[0]:.1f}")
    return 1 if table.broken else 0


if __name__ == "__main__":
    sys.exit(main())
