"""Similarities of RDMs, noise ceilings, fitted weights, and probabilities: rsatoolbox 0.3.2 and SciPy.

    models, subjects    triangles of RDMs of seven stimuli, with ties
    similarities        by measure: a row a model, a column a subject
    missing             the same where two pairs of stimuli lack a number in all RDMs
    resampled           the same where stimuli are taken TIMES times; pairs of a stimulus with itself are left out
    ceilings            by measure: the mean over subjects of the similarity with the pooled RDM of the others, and of all
    weights             by measure: what combines the models to be most like the pooled RDM, of length 1; and with no weight below 0
    t                   rows of t, degrees of freedom and the probability of a larger |t|
    p, holm, discovery  probabilities, and adjusted for their family by Holm's rule and by Benjamini's and Hochberg's
"""

import warnings

import numpy as np
import scipy.stats
from rsatoolbox.inference.noise_ceiling import boot_noise_ceiling
from rsatoolbox.model import ModelWeighted
from rsatoolbox.model.fitter import fit_regress, fit_regress_nn
from rsatoolbox.rdm import RDMs, compare

from golden_files import irregular

TOLERANCE = 1e-8
# Our word and rsatoolbox's.
MEASURES = {
    "pearson": "corr",
    "spearman": "spearman",
    "tau_a": "tau-a",
    "rho_a": "rho-a",
    "cosine": "cosine",
    "whitened_pearson": "corr_cov",
    "whitened_cosine": "cosine_cov",
}
FITTED = ["pearson", "cosine", "whitened_pearson", "whitened_cosine"]
STIMULI = 7
PAIRS = STIMULI * (STIMULI - 1) // 2
MISSING = [2, 13]
TIMES = [2, 0, 1, 3, 1, 1, 2]
P = [0.001, 0.2, 0.8, 0.8, 0.013, 0.04, 0.7]


def similarities(models, subjects, change=lambda rdms: rdms):
    models, subjects = (change(RDMs(np.array(rdms))) for rdms in (models, subjects))
    return {word: compare(models, subjects, method) for word, method in MEASURES.items()}


def without(rdms):
    numbers = rdms.get_vectors().copy()
    numbers[:, MISSING] = np.nan
    return RDMs(numbers)


def resampled(rdms):
    return rdms.subsample_pattern("index", [at for at, times in enumerate(TIMES) for _ in range(times)])


def ceilings(subjects):
    rdms = RDMs(np.array(subjects))
    with warnings.catch_warnings():
        # Ranks are averaged for tau as well, and it says so every time.
        warnings.simplefilter("ignore")
        return {word: boot_noise_ceiling(rdms, method) for word, method in MEASURES.items()}


def weights(models, subjects):
    model, data = ModelWeighted("all", RDMs(np.array(models))), RDMs(np.array(subjects))
    fit = lambda how: {word: np.ravel(how(model, data, MEASURES[word])) for word in FITTED}
    return {"any": fit(fit_regress), "not_negative": fit(fit_regress_nn)}


def holm(p):
    order, adjusted, largest = np.argsort(p, kind="stable"), np.empty(len(p)), 0.0
    for place, at in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - place) * p[at]))
        adjusted[at] = largest
    return adjusted


def compute():
    models = np.round(irregular(3, PAIRS, 11, 1) + 1, 1)
    shared = 0.6 * models[0] + 0.5 * models[1]
    subjects = np.round(shared + irregular(5, PAIRS, 12), 1) + 0.5
    subjects = np.round(subjects, 1)
    return {
        "stimuli": STIMULI,
        "models": models,
        "subjects": subjects,
        "similarities": similarities(models, subjects),
        "missing_pairs": MISSING,
        "missing": similarities(models, subjects, without),
        "times": TIMES,
        "resampled": similarities(models, subjects, resampled),
        "ceilings": ceilings(subjects),
        "weights": weights(models, subjects),
        "t": [[t, freedom, 2 * scipy.stats.t.sf(abs(t), freedom)] for t in (0.0, 0.3, -2.1, 7.5) for freedom in (1, 4, 29.5, 999)],
        "p": P,
        "holm": holm(P),
        "discovery": scipy.stats.false_discovery_control(P),
    }
