#!/usr/bin/env python3
"""Numbers that `encode/banded`, `encode/partition` and `encode/significance` are tested against: himalaya, scikit-learn, SciPy, NumPy.

    python3 tests/fidelity/encoding/inference.py            compares with inference.json beside it
    python3 tests/fidelity/encoding/inference.py --write    writes it

Needs what ridge.py beside it needs, whose data these are, and SciPy 1.17.

    banded      himalaya's solve_group_ridge_random_search at given mixtures, refitted on train and choose: the mixture and penalty of
                each response, R2 on the test rows, and its split over spaces (r2_score_split; the observed about their mean)
    partition   R2 of every set of spaces by scikit-learn's Ridge with one penalty, its unique and shared parts by the sum over subsets
                in the definition, and false discovery rates of given p by SciPy
"""

import json
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
from himalaya.ridge import solve_group_ridge_random_search
from himalaya.scoring import r2_score_split
from scipy.stats import false_discovery_control
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, PredefinedSplit

from ridge import DATA, FOLDS, PENALTIES, close, make

BESIDE = Path(__file__).with_name("inference.json")
MIXTURES = {
    "tall": [[1 / 3, 1 / 3, 1 / 3], [0.9, 0.05, 0.05], [0.05, 0.05, 0.9], [0.2, 0.5, 0.3], [0.001, 0.4, 0.599]],
    "wide": [[0.5, 0.5], [0.95, 0.05], [0.02, 0.98], [0.3, 0.7]],
}
# What the partition's models are penalised by.
PENALTY = 3.0
P = [0.001, 0.2, 0.8, 0.8, 0.013, 0.04, 0.7]


def banded(name, folds):
    parts, widths, responses = DATA[name]
    spaces, y = make(parts, widths, responses)
    seen = parts[0] + parts[1]
    cv = KFold(FOLDS) if folds else PredefinedSplit([-1] * parts[0] + [0] * parts[1])
    mixtures = np.array(MIXTURES[name])
    deltas, weights, _, intercept = solve_group_ridge_random_search(
        [x[:seen] for x in spaces], y[:seen], n_iter=mixtures, alphas=np.array(PENALTIES), fit_intercept=True, cv=cv,
        return_weights=True, progress_bar=False, warn=False)
    # himalaya returns mixture and penalty as one: gamma / penalty of every space.
    ratios = np.exp(deltas)
    penalty = 1 / ratios.sum(0)
    mixture = [int(np.argmin(np.abs(mixtures - ratio * alpha).sum(1))) for ratio, alpha in zip(ratios.T, penalty)]
    offsets = np.cumsum((0,) + widths)
    means = np.concatenate([x[:seen].mean(0) for x in spaces])
    contributions = np.array([(x[seen:] - means[a:b]) @ weights[a:b] for x, a, b in zip(spaces, offsets, offsets[1:])])
    predicted = np.concatenate(spaces, axis=1)[seen:] @ weights + intercept
    centred = y[seen:] - y[seen:].mean(0)
    return {
        "data": name,
        "choose": "folds" if folds else "held-out",
        "mixture": mixture,
        "penalty": [float(number) for number in penalty],
        "r2": list(map(float, r2_score(y[seen:], predicted, multioutput="raw_values"))),
        "split": [list(map(float, row)) for row in r2_score_split(centred, contributions)],
    }


def partition():
    parts, widths, responses = DATA["tall"]
    spaces, y = make(parts, widths, responses)
    seen, count = parts[0] + parts[1], len(widths)
    scores = {(): np.zeros(responses)}
    for size in range(1, count + 1):
        for subset in combinations(range(count), size):
            x = np.concatenate([spaces[space] for space in subset], axis=1)
            predicted = Ridge(alpha=PENALTY).fit(x[:seen], y[:seen]).predict(x[seen:])
            scores[subset] = r2_score(y[seen:], predicted, multioutput="raw_values")
    whole = set(range(count))
    result = {}
    for subset in [subset for subset in scores if subset]:
        part = np.zeros(responses)
        for size in range(len(subset) + 1):
            for inner in combinations(subset, size):
                part -= (-1) ** (len(subset) - size) * scores[tuple(sorted(whole - set(inner)))]
        result["+".join("ABC"[space] for space in subset)] = list(map(float, part))
    return result


def compute():
    return {
        "penalties": PENALTIES,
        "mixtures": MIXTURES,
        "banded": [banded(name, folds) for name in DATA for folds in (False, True)],
        "penalty of partition": PENALTY,
        "partition": partition(),
        "p": P,
        "q": list(map(float, false_discovery_control(P))),
    }


if __name__ == "__main__":
    computed = compute()
    if sys.argv[1:] == ["--write"]:
        BESIDE.write_text(json.dumps(computed, indent=1) + "\n")
    elif not close(computed, json.loads(BESIDE.read_text())):
        sys.exit("the numbers differ from inference.json")
