#!/usr/bin/env python3
"""Numbers that `encode/ridge` and `encode/weights` are tested against: penalties, R2 and weights of scikit-learn, himalaya and NumPy.

    python3 tests/fidelity/encoding/ridge.py            compares with ridge.json beside it
    python3 tests/fidelity/encoding/ridge.py --write    writes it

Needs numpy 2, scikit-learn 1.9 and himalaya 0.4. The data are made from whole numbers, so that the tests make the same ones. Rows are
in the order train, choose, test. Each case has, by model, the penalty of every response and the R2 of every response on the test rows:

    held-out   himalaya's RidgeCV, a fixed split; it refits on train and choose
    folds      himalaya's RidgeCV, five runs of the rows of train and choose
    loo        scikit-learn's RidgeCV with a penalty for each response
    gcv        NumPy, from the hat matrix: (|e|^2 / n) / (1 - trace / n)^2, the mean counted as a parameter
    lab08      NumPy, the formulas of a course's lab: a penalised column of ones, inverses, no refit, three negative penalties
"""

import json
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
from himalaya.ridge import RidgeCV as HimalayaRidgeCV
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import KFold, PredefinedSplit

BESIDE = Path(__file__).with_name("ridge.json")
PENALTIES = [10.0 ** (power / 2) for power in range(-4, 7)]
FOLDS = 5
# Rows that train, choose and test, the features of each space, and responses.
DATA = {"tall": ((45, 15, 15), (4, 1, 5), 6), "wide": ((19, 6, 8), (15, 25), 5)}


def mixed(number):
    """A number from -0.5 to 0.5 for a whole number."""
    number = number * 2654435761 % 2**32
    number ^= number >> 16
    number = number * 2246822519 % 2**32
    number ^= number >> 13
    return number / 2**32 - 0.5


def make(parts, widths, responses):
    """Features by space, and responses: sums of features with weights that differ between spaces, and noise."""
    rows, width = sum(parts), sum(widths)
    features = np.array([[mixed(1000 * row + column) + 0.25 * column for column in range(width)] for row in range(rows)])
    weights = np.array([[mixed(1_000_000 + 1000 * column + response) * (1 + column % 3) for response in range(responses)]
                        for column in range(width)])
    noise = np.array([[mixed(2_000_000 + 1000 * row + response) * (1 + response) / 2 for response in range(responses)]
                      for row in range(rows)])
    return np.split(features, np.cumsum(widths)[:-1], axis=1), features @ weights + noise


def r2(observed, predicted):
    return 1 - ((observed - predicted) ** 2).sum(0) / ((observed - observed.mean(0)) ** 2).sum(0)


def himalaya(x, y, cv, test):
    seen = len(x) - test
    model = HimalayaRidgeCV(alphas=np.array(PENALTIES), fit_intercept=True, cv=cv, solver_params={"warn": False}).fit(x[:seen], y[:seen])
    return model.best_alphas_, r2(y[seen:], model.predict(x[seen:]))


def loo(x, y, test):
    seen = len(x) - test
    model = RidgeCV(alphas=PENALTIES, alpha_per_target=True).fit(x[:seen], y[:seen])
    return model.alpha_, r2(y[seen:], model.predict(x[seen:]))


def gcv(x, y, test):
    n = len(x) - test
    centred_x, centred_y = x[:n] - x[:n].mean(0), y[:n] - y[:n].mean(0)
    losses, weights = [], []
    for penalty in PENALTIES:
        inverse = np.linalg.inv(centred_x.T @ centred_x + penalty * np.eye(x.shape[1]))
        weights.append(inverse @ centred_x.T @ centred_y)
        trace = np.trace(centred_x @ inverse @ centred_x.T) + 1
        losses.append(((centred_y - centred_x @ weights[-1]) ** 2).mean(0) / (1 - trace / n) ** 2)
    best = np.argmin(losses, axis=0)
    chosen = np.stack([weights[at][:, response] for response, at in enumerate(best)], axis=1)
    predicted = (x[n:] - x[:n].mean(0)) @ chosen + y[:n].mean(0)
    return np.array(PENALTIES)[best], r2(y[n:], predicted)


def lab08(x, y, parts):
    narrow = lambda numbers: numbers.astype(np.float32).astype(np.float64)
    x, y = narrow(np.concatenate([x, np.ones((len(x), 1))], axis=1)), narrow(y)
    train, out, test = np.split(np.arange(len(x)), np.cumsum(parts)[:-1])
    penalties = np.logspace(np.log(0.0001), np.log(10**10 + 0.01), 20, dtype=np.float32, base=np.e) - 0.01
    weights = [np.linalg.inv(x[train].T @ x[train] + np.eye(x.shape[1]) * np.float64(penalty)) @ x[train].T @ y[train]
               for penalty in penalties]
    losses = [((y[out] - x[out] @ w) ** 2).sum(0) for w in weights]
    best = np.argmin(losses, axis=0)
    chosen = np.stack([weights[at][:, response] for response, at in enumerate(best)], axis=1)
    return penalties[best].astype(np.float64), r2(y[test], x[test] @ chosen)


def compute():
    result = {"penalties": PENALTIES, "cases": []}
    for name, (parts, widths, responses) in DATA.items():
        spaces, y = make(parts, widths, responses)
        names = "ABC"[:len(spaces)]
        seen, test = parts[0] + parts[1], parts[2]
        fixed = PredefinedSplit([-1] * parts[0] + [0] * parts[1])
        ways = {
            "held-out": lambda x: himalaya(x, y, fixed, test),
            "folds": lambda x: himalaya(x, y, KFold(FOLDS), test),
            "loo": lambda x: loo(x, y, test),
            "gcv": lambda x: gcv(x, y, test),
        }
        if name == "tall":
            ways["lab08"] = lambda x: lab08(x, y, parts)
        for way, fit in ways.items():
            models = {}
            for size in range(1, len(spaces) + 1):
                for subset in combinations(range(len(spaces)), size):
                    penalty, score = fit(np.concatenate([spaces[space] for space in subset], axis=1))
                    label = "+".join(names[space] for space in subset)
                    models[label] = {"penalty": list(map(float, penalty)), "r2": list(map(float, score))}
            result["cases"].append({"data": name, "choose": way, "models": models})
        full = np.concatenate(spaces, axis=1)
        ridge = Ridge(alpha=3.0).fit(full[:seen], y[:seen])
        result[f"{name} weights at 3"] = [list(map(float, row)) for row in ridge.coef_]
    return result


def close(found, expected):
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(close(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(close, found, expected))
    if isinstance(expected, float):
        return abs(found - expected) <= 1e-9 * max(1, abs(expected))
    return found == expected


if __name__ == "__main__":
    computed = compute()
    if sys.argv[1:] == ["--write"]:
        BESIDE.write_text(json.dumps(computed, indent=1) + "\n")
    elif not close(computed, json.loads(BESIDE.read_text())):
        sys.exit("the numbers differ from ridge.json")
