"""Layouts by multidimensional scaling and subsets of entries: scikit-learn 1.9, SciPy, and the published rules in NumPy.

    stress          raw stress of smacof in two dimensions: from the classical start, in the guide's setting (four random starts, 3,000 steps, a
                    tolerance of 1e-9), the best of 40 random starts. A layout of the program must have no more than the best, to 1e-6
    stress_1        of non-metric scaling, normalised, the best of 40 random starts
    eigenvalues     of ClassicalMDS, and the distances between its points
    kolmogorov      lists of numbers, their distance to the uniform distribution on 0 to 1, and the probability of a larger one
    dissimilar, mean_of, uniform
                    entries in the order in which the guide's functions would add them if they began with a pair of different entries
"""

import warnings

import numpy as np
from scipy.spatial.distance import pdist, squareform
from scipy.stats import kstest
from sklearn.manifold import ClassicalMDS, smacof

from golden_files import irregular, triangle

TOLERANCE = 1e-6
ENTRIES = 16
# Random starts of which the best is taken.
STARTS = 40
TARGET = 0.4


def make():
    """Dissimilarities between 0 and 1 that are no distances of a plane."""
    distances = pdist(irregular(ENTRIES, 4, 31)) + 0.6 * np.abs(irregular(1, ENTRIES * (ENTRIES - 1) // 2, 32)[0])
    return np.round(distances / distances.max() * 0.97, 3)


def stresses(square):
    classical = ClassicalMDS(n_components=2, metric="precomputed").fit(square)
    exact = {"max_iter": 3000, "eps": 1e-12, "normalized_stress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = smacof(square, init=classical.embedding_, n_init=1, **exact)[1]
        guide = smacof(square, n_init=4, max_iter=3000, eps=1e-9, normalized_stress=False, random_state=0)[1]
        best = smacof(square, n_init=STARTS, random_state=0, **exact)[1]
        order = smacof(square, metric=False, n_init=STARTS, random_state=0, max_iter=3000, eps=1e-12, normalized_stress=True)[1]
    return {
        "stress": {"classical": start, "guide": guide, "best": best},
        "stress_1": order,
        "eigenvalues": classical.eigenvalues_,
        "classical_distances": pdist(classical.embedding_),
    }


def grown(square, count, score_of_pair, score):
    """Begins with the pair of the highest score, the first of several, and adds the entry of the highest score each time."""
    rows, columns = np.triu_indices(len(square), 1)
    first = np.argmax([score_of_pair(square[pair]) for pair in zip(rows, columns)])
    chosen = [int(rows[first]), int(columns[first])]
    while len(chosen) < count:
        free = [entry for entry in range(len(square)) if entry not in chosen]
        chosen.append(free[int(np.argmax([score(chosen, entry) for entry in free]))])
    return chosen


def orders(square):
    with_entry = lambda chosen, entry: triangle(square[np.ix_(chosen + [entry], chosen + [entry])])
    sum_to = lambda chosen, entry: square[chosen, entry].sum()
    nearness = lambda chosen, entry: -abs(with_entry(chosen, entry).mean() - TARGET)
    evenness = lambda chosen, entry: kstest(with_entry(chosen, entry), "uniform").pvalue
    return {
        "dissimilar": grown(square, ENTRIES, lambda value: value, sum_to),
        "target": TARGET,
        "mean_of": grown(square, 6, lambda value: -abs(value - TARGET), nearness),
        "uniform": grown(square, 6, lambda value: value, evenness),
    }


def kolmogorov(numbers):
    test = kstest(numbers, "uniform")
    return {"numbers": numbers, "distance": test.statistic, "p": test.pvalue}


def compute():
    dissimilarities = make()
    square = squareform(dissimilarities)
    lists = [np.abs(irregular(1, count, 33 + count)[0]) + shift for count, shift in ((3, 0.1), (6, 0.4), (15, 0.2), (28, 0.45))]
    return {
        "entries": ENTRIES,
        "dissimilarities": dissimilarities,
        **stresses(square),
        "kolmogorov": [kolmogorov(np.round(numbers, 3)) for numbers in lists],
        **orders(square),
    }
