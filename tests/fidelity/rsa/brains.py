"""Models and brains of 92 images, real data that is not part of the project: rsatoolbox 0.3.2.

`PIPE_TEST_DATA` names a folder with `92_brainRDMs.mat` and `92_modelRDMs.mat` (Kriegeskorte et al. 2008; demos/92imageData of rsatoolbox). The two
sessions of each of four subjects are averaged.

    similarities    by measure: a row a model, a column a subject
    ceilings        by measure: lower and upper
"""

import os
from pathlib import Path

import numpy as np
import scipy.io

from comparisons import ceilings, similarities
from golden_files import triangle

TOLERANCE = 1e-8
FILES = ["92_brainRDMs.mat", "92_modelRDMs.mat"]


def folder():
    """Where the data are, or nothing."""
    place = os.environ.get("PIPE_TEST_DATA")
    return Path(place) if place and all((Path(place) / name).exists() for name in FILES) else None


def compute():
    brains, models = (scipy.io.loadmat(folder() / name) for name in FILES)
    sessions = brains["RDMs"][0]
    subjects = [np.mean([triangle(session["RDM"].astype(float)) for session in row], axis=0) for row in sessions]
    models = models["Models"].ravel()
    found = [triangle(model["RDM"].astype(float)) for model in models]
    return {
        "subjects": [str(np.squeeze(row[0]["name"])) for row in sessions],
        "models": [str(np.squeeze(model["name"])) for model in models],
        "similarities": similarities(found, subjects),
        "ceilings": ceilings(subjects),
    }
