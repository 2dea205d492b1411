"""Linear support vector machines and analyses of variance: scikit-learn 1.9 and NumPy.

Twelve patterns, one for each of three objects in each of four colours. An accuracy is that of SVC with a linear kernel and C = 1, and is the same
when the kernel is given as a Gram matrix and when its tolerance is 1e-9 in the place of 1e-3. For each pair of values of a variable the two patterns
of one value of the other variable are left out, and a machine is fitted to the others.

    machine    one of these: the dual of each training pattern (times its class, 1 or -1), the offset, and the decisions for the two left out
    eta2       shares of the variance of each unit that each variable and their interaction explain; null for the unit that does not vary
    summary    their mean and standard deviation over units; and over features, four units each, of the mean of a feature
"""

from itertools import combinations

import numpy as np
from sklearn.svm import SVC

from golden_files import irregular, require

TOLERANCE = 1e-9
OBJECTS, COLOURS = ["cat", "dog", "car"], ["red", "green", "blue", "grey"]
UNITS, UNITS_OF_FEATURE = 24, 4
# The unit that does not vary.
CONSTANT = 9


def make():
    """Patterns [object, colour, unit]."""
    objects, colours = irregular(len(OBJECTS), UNITS, 21), irregular(len(COLOURS), UNITS, 22)
    noise = irregular(len(OBJECTS) * len(COLOURS), UNITS, 23).reshape(len(OBJECTS), len(COLOURS), UNITS)
    patterns = 0.6 * objects[:, None] + 0.5 * colours[None] + noise + 3
    patterns[:, :, CONSTANT] = 1.5
    return np.round(patterns, 3)


def accuracy(one, other):
    """Of two values, patterns [other variable, unit] each."""
    return np.mean([right for at in range(len(one)) for right in left_out(one, other, at)])


def left_out(one, other, at):
    """Whether each of the two patterns that are left out is named right, and an error if that depends on how machines are found."""
    train, test, classes = parts(one, other, at)
    usual = SVC(kernel="linear", C=1).fit(train, classes).predict(test)
    by_gram = SVC(kernel="precomputed", C=1).fit(train @ train.T, classes).predict(test @ train.T)
    exact = SVC(kernel="linear", C=1, tol=1e-9).fit(train, classes)
    require((usual == by_gram).all() and (usual == exact.predict(test)).all(), "the accuracy depends on kernel or tolerance")
    require(np.abs(exact.decision_function(test)).min() > 1e-3, "a decision is too near to 0 to be compared")
    return usual == [0, 1]


def parts(one, other, at):
    kept = np.arange(len(one)) != at
    return np.concatenate([one[kept], other[kept]]), np.stack([one[at], other[at]]), np.repeat([0, 1], kept.sum())


def accuracies(patterns, variable, values):
    along = np.moveaxis(patterns, variable, 0)
    return [[values[a], values[b], accuracy(along[a], along[b])] for a, b in combinations(range(len(values)), 2)]


def machine(patterns):
    one, other = patterns[0], patterns[1]
    train, test = np.concatenate([one[1:], other[1:]]), np.stack([one[0], other[0]])
    classes = np.repeat([-1, 1], len(one) - 1)
    fitted = SVC(kernel="precomputed", C=1, tol=1e-12).fit(train @ train.T, classes)
    duals = np.zeros(len(train))
    duals[fitted.support_] = fitted.dual_coef_[0]
    decisions = fitted.decision_function(test @ train.T)
    require(np.abs(test @ train.T @ duals + fitted.intercept_[0] - decisions).max() < 1e-12, "duals do not make decisions")
    return {"duals": duals, "offset": fitted.intercept_[0], "decisions": decisions}


def shares(patterns):
    """Of patterns [object, colour, unit], how much less is left by the means of a variable's values than by the mean of all."""
    objects, colours, _ = patterns.shape
    grand = patterns.mean((0, 1))
    total = np.where(np.ptp(patterns, axis=(0, 1)) > 0, ((patterns - grand) ** 2).sum((0, 1)), np.nan)
    both = patterns.mean(1)[:, None] + patterns.mean(0)[None] - grand
    found = {
        "object": colours * ((patterns.mean(1) - grand) ** 2).sum(0) / total,
        "colour": objects * ((patterns.mean(0) - grand) ** 2).sum(0) / total,
        "interaction": ((patterns - both) ** 2).sum((0, 1)) / total,
    }
    require(np.nanmax(np.abs(sum(found.values()) - 1)) < 1e-9, "shares do not add up to 1")
    return found


def summary(eta2, units_of_feature):
    by_feature = eta2.reshape(-1, units_of_feature)
    by_feature = by_feature[~np.isnan(by_feature).all(1)]
    return {"mean": np.nanmean(eta2), "stdev": np.nanstd(eta2), "stdev_features": np.nanstd(np.nanmean(by_feature, axis=1))}


def compute():
    patterns = make()
    eta2 = shares(patterns)
    return {
        "objects": OBJECTS,
        "colours": COLOURS,
        "units_of_feature": UNITS_OF_FEATURE,
        "patterns": patterns.reshape(-1, UNITS),
        "accuracies_of_objects": accuracies(patterns, 0, OBJECTS),
        "accuracies_of_colours": accuracies(patterns, 1, COLOURS),
        "machine": machine(patterns),
        "eta2": eta2,
        "summary": {name: summary(of_units, UNITS_OF_FEATURE) for name, of_units in eta2.items()},
    }
