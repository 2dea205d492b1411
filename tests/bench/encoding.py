#!/usr/bin/env python3
"""What encoding models cost, next to himalaya on the same numbers, in turn; and what sub-models and many voxels cost.

    cargo bench -p pipe-stages --bench encoding --no-run     prints where the program is
    python3 tests/bench/encoding.py PROGRAM FOLDER

300 features, 8,100 stimuli to train, 900 to choose by, 1,000 to test, 20 penalties, 32-bit floats. Promised:

    10,000 voxels, fixed part to choose by    at least 20 x faster than himalaya's RidgeCV (NumPy)
    10,000 voxels, 5 folds                    likewise
    10,000 voxels, all 7 sub-models           at most 2.5 x the model with all three spaces
    100,000 voxels, all 7 sub-models          at most 1.5 GB of resident memory
    2,000 voxels, banded, 100 mixtures        at least 20 x faster than himalaya, of which 10 mixtures are timed and scaled

Ours reads files and writes scores and predictions; himalaya fits and predicts arrays in memory, in batches of 2,000 voxels. The best of several
rounds counts. Needs numpy and himalaya, and 8 GB below FOLDER. Exit code 1 if a promise is not kept.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

TRAIN, CHOOSE, SPACES = 8100, 900, 3
PENALTIES = np.logspace(-1, 8, 20)


def ours(program, folder, voxels, *parameters):
    words = [program, str(folder), str(voxels), "precision=float32", "contributions=false", *parameters]
    printed = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    seconds, memory = printed.strip().split(" s, ")
    return float(seconds), int(memory.split()[0]) * 1024


def himalaya(folder, folds):
    from himalaya.ridge import RidgeCV
    from sklearn.model_selection import KFold, PredefinedSplit

    x, y = (np.load(folder / name / "values.npy") for name in ("joined", "responses"))
    seen = TRAIN + CHOOSE
    cv = KFold(5) if folds else PredefinedSplit([-1] * TRAIN + [0] * CHOOSE)
    start = time.monotonic()
    model = RidgeCV(alphas=PENALTIES.astype(np.float32), fit_intercept=True, cv=cv,
                    solver_params={"warn": False, "n_targets_batch": 2000, "n_targets_batch_refit": 2000, "n_alphas_batch": 5})
    model.fit(x[:seen], y[:seen])
    predicted = model.predict(x[seen:])
    errors = ((predicted - y[seen:]) ** 2).sum(0)
    score = 1 - errors / ((y[seen:] - y[seen:].mean(0)) ** 2).sum(0)
    return time.monotonic() - start, float(np.median(score))


def himalaya_banded(folder, mixtures):
    from himalaya.ridge import solve_group_ridge_random_search
    from sklearn.model_selection import PredefinedSplit

    x, y = (np.load(folder / name / "values.npy") for name in ("features", "responses"))
    seen = TRAIN + CHOOSE
    start = time.monotonic()
    solve_group_ridge_random_search(
        np.split(x[:seen], SPACES, axis=1), y[:seen], n_iter=mixtures, alphas=PENALTIES.astype(np.float32), fit_intercept=True,
        cv=PredefinedSplit([-1] * TRAIN + [0] * CHOOSE), return_weights=True, random_state=0, n_alphas_batch=5, progress_bar=False,
        warn=False)
    return time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="the benchmark `encoding`")
    parser.add_argument("folder", type=Path, help="where data are made")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many counts")
    parser.add_argument("--skip-many", action="store_true", help="without 100,000 voxels")
    arguments = parser.parse_args()
    few, many = arguments.folder / "few", arguments.folder / "many"
    ours(arguments.program, few, 10_000, "spaces=1")
    kept = True

    def promise(what, found, most, text):
        nonlocal kept
        kept &= found <= most
        print(f"{what:<42} {text}{'' if found <= most else '   NOT KEPT'}", flush=True)

    print(f"load before: {os.getloadavg()}")
    for what, parameter, folds in (("fixed part to choose by", "choose=held-out", False), ("5 folds", "choose=folds", True)):
        rounds = [(ours(arguments.program, few, 10_000, "spaces=1", parameter)[0], himalaya(few, folds)[0])
                  for _ in range(arguments.rounds)]
        our, peer = (min(times) for times in zip(*rounds))
        promise(what, our * 20, peer, f"{our:.2f} s, himalaya {peer:.2f} s: {peer / our:.1f} x")
    rounds = [(ours(arguments.program, few, 10_000, "models=all")[0], ours(arguments.program, few, 10_000, "models=full")[0])
              for _ in range(arguments.rounds)]
    every, full = (min(times) for times in zip(*rounds))
    promise("all 7 sub-models", every, 2.5 * full, f"{every:.2f} s, the largest alone {full:.2f} s: {every / full:.2f} x")
    few = arguments.folder / "banded"
    ours(arguments.program, few, 2_000)
    rounds = [(ours(arguments.program, few, 2_000, "kind=encode/banded")[0], 10 * himalaya_banded(few, 10))
              for _ in range(arguments.rounds)]
    our, peer = (min(times) for times in zip(*rounds))
    promise("banded, 100 mixtures", our * 20, peer, f"{our:.2f} s, himalaya {peer:.2f} s: {peer / our:.1f} x")
    if not arguments.skip_many:
        seconds, memory = ours(arguments.program, many, 100_000, "models=all")
        promise("100,000 voxels, all 7 sub-models", memory, 1.5e9, f"{seconds:.1f} s, {memory / 1e9:.2f} GB")
    print(f"load after: {os.getloadavg()}")
    sys.exit(not kept)


if __name__ == "__main__":
    main()
