"""Dissimilarities of patterns, noise covariances, and linear CKA: rsatoolbox 0.3.2 and NumPy.

What rsatoolbox calls `euclidean` and `mahalanobis` are squared distances divided by the number of channels, and so is its `crossnobis`; the numbers
here are multiplied by that number, and `euclidean` and `mahalanobis` are roots. It orders entries by their ids, and texts as texts (`s10` before
`s2`); the numbers here are in the order in which entries first come. It has no cosine distance and no CKA: those are NumPy's, by the definition.

    patterns     a row a pattern: all dissimilarities that need no noise
    other        patterns of the same entries in other features, for CKA
    measured     three runs of four entries, the runs one after another: distances in units of noise
    residuals    six of each run; covariances have the estimate of Schaefer and Strimmer (`shrinkage_diag`), or none
"""

import numpy as np
from rsatoolbox.data import Dataset
from rsatoolbox.data.noise import cov_from_residuals
from rsatoolbox.rdm import calc_rdm

from golden_files import irregular, require, triangle

TOLERANCE = 1e-9
ENTRIES = ["s1", "s2", "s10", "s3"]
RUNS = ["a", "b", "c"]
FEATURES = 5
RESIDUALS = 6
# Degrees of freedom that are given, fewer than residuals minus 1, as of a model with regressors.
FREEDOM = 14


def agree(ours, theirs, what):
    require(np.abs(ours - theirs).max() <= 1e-9 * np.abs(ours).max(), f"NumPy and rsatoolbox have other {what}")
    return ours


def of_patterns(patterns):
    centred = patterns - patterns.mean(1, keepdims=True)
    unit = lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True)
    squared = ((patterns[:, None] - patterns[None]) ** 2).sum(2)
    theirs = lambda method: calc_rdm(Dataset(patterns), method).get_vectors()[0]
    agree(triangle(squared), theirs("euclidean") * patterns.shape[1], "squared distances")
    agree(triangle(1 - unit(centred) @ unit(centred).T), theirs("correlation"), "correlations")
    return {
        "correlation": triangle(1 - unit(centred) @ unit(centred).T),
        "euclidean": triangle(np.sqrt(squared)),
        "squared_euclidean": triangle(squared),
        "cosine": triangle(1 - unit(patterns) @ unit(patterns).T),
    }


def centred_gram(patterns):
    centred = patterns - patterns.mean(0)
    return centred @ centred.T


def unbiased_product(one, other):
    """The inner product of two Gram matrices that Song et al. (2012) estimate without bias: their equation for HSIC."""
    n = len(one)
    one, other = (gram - np.diag(np.diag(gram)) for gram in (one, other))
    return np.trace(one @ other) + one.sum() * other.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ other).sum()


def cka(patterns, other):
    one, two = centred_gram(patterns), centred_gram(other)
    cosine = lambda product: product(one, two) / np.sqrt(product(one, one) * product(two, two))
    return {"plain": cosine(lambda a, b: (a * b).sum()), "debiased": cosine(unbiased_product)}


def in_order(rdms):
    """The triangle of one RDM with its entries in the order of ENTRIES."""
    found = list(rdms.pattern_descriptors["entry"])
    require(found == sorted(ENTRIES), f"rsatoolbox has the order {found}")
    order = [found.index(entry) for entry in ENTRIES]
    return triangle(rdms.get_matrices()[0][np.ix_(order, order)])


def in_noise(measured, residuals):
    data = Dataset(measured, obs_descriptors={"entry": ENTRIES * len(RUNS), "run": np.repeat(RUNS, len(ENTRIES))})
    full = cov_from_residuals(residuals, dof=FREEDOM, method="full")
    shrunk = cov_from_residuals(residuals, method="shrinkage_diag")
    of_runs = [cov_from_residuals(part, method="shrinkage_diag") for part in np.split(residuals, len(RUNS))]
    intensity = lambda shrunk, rows: 1 - shrunk[0, 1] / cov_from_residuals(rows, method="full")[0, 1]
    precision = np.linalg.inv(shrunk)
    squared = lambda method, noise: FEATURES * in_order(calc_rdm(data, method, "entry", noise, "run"))
    return {
        "covariance": full,
        "shrunk": shrunk,
        "intensity": intensity(shrunk, residuals),
        "intensity_of_runs": [intensity(*pair) for pair in zip(of_runs, np.split(residuals, len(RUNS)))],
        "mahalanobis": np.sqrt(squared("mahalanobis", precision)),
        "crossnobis": squared("crossnobis", precision),
        "crossnobis_identity": squared("crossnobis", None),
        "crossnobis_of_runs": squared("crossnobis", [np.linalg.inv(covariance) for covariance in of_runs]),
    }


def compute():
    patterns, other = irregular(7, 11, 1) + 2, irregular(7, 5, 2) - 1
    # Entries are apart by a part that all runs have.
    measured = np.tile(irregular(len(ENTRIES), FEATURES, 3), (len(RUNS), 1)) + irregular(len(RUNS) * len(ENTRIES), FEATURES, 4)
    residuals = irregular(len(RUNS) * RESIDUALS, FEATURES, 5)
    residuals = np.round(residuals + 0.5 * residuals[:, [1, 2, 3, 4, 0]], 4)
    measured = np.round(measured, 3)
    return {
        "patterns": patterns,
        "other": other,
        **of_patterns(patterns),
        "cka": cka(patterns, other),
        "entries": ENTRIES,
        "runs": RUNS,
        "measured": measured,
        "residuals": residuals,
        "freedom": FREEDOM,
        **in_noise(measured, residuals),
    }
