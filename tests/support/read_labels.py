"""Reads with nibabel what `apply.yaml` has published, and checks it: read_labels.py RESULTS."""

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.freesurfer import read_annot

NAMES = {
    "varea": ["V1 (0-7 deg)", "V2 (0-7 deg)", "V3 (0-7 deg)"],
    "vring": [f"V1-V3 ({ring} deg)" for ring in ("0-0.5", "0.5-1", "1-2", "2-4", "4-7")],
}


def surface(folder, hemisphere, division):
    """Labels of a hemisphere, once from each of the four files."""
    names = NAMES[division]
    stem = folder / f"{hemisphere}.benson2025_{division}"
    overlay = nib.load(f"{stem}.mgz")
    assert overlay.shape == (10242, 1, 1) and overlay.get_data_dtype() == np.dtype(">i4"), overlay.header
    assert np.array_equal(overlay.header["delta"], [1, 1, 1]) and overlay.header["goodRASFlag"] == 1
    assert np.array_equal(overlay.affine[:3, :3], [[-1, 0, 0], [0, 0, 1], [0, -1, 0]]), overlay.affine
    labels = np.asarray(overlay.dataobj).ravel()
    assert set(labels) <= set(range(len(names) + 1)) and labels.any()

    annotated, colours, found = read_annot(f"{stem}.annot")
    assert [name.decode() for name in found][1:] == names, found
    assert np.array_equal(annotated, labels)
    assert len({tuple(colour) for colour in colours[:, :3]}) == len(names) + 1

    gifti = nib.load(f"{stem}.label.gii")
    table = gifti.labeltable.get_labels_as_dict()
    assert [table[key] for key in sorted(table)][1:] == names, table
    assert np.array_equal(gifti.darrays[0].data, labels)
    assert gifti.meta["AnatomicalStructurePrimary"] == {"lh": "CortexLeft", "rh": "CortexRight"}[hemisphere]
    assert "7" in gifti.meta["Description"]
    red = gifti.labeltable.labels[1].rgba[:3]
    assert np.allclose(red, colours[1, :3] / 255, atol=1e-4), (red, colours[1])

    likely = np.asarray(nib.load(f"{stem}_probabilities.mgz").dataobj)
    assert likely.shape == (10242, 1, 1, len(names)) and 0 <= likely.min() and likely.max() <= 1
    best = likely[:, 0, 0].argmax(axis=1) + 1
    # The rule of labels: the most probable one, if it is more so than none.
    expected = np.where(likely[:, 0, 0].max(axis=1) > 1 - likely[:, 0, 0].sum(axis=1, dtype="f4"), best, 0)
    assert (expected != labels).mean() < 1e-3
    return labels, 4


def volume(folder, bids, sid, division, on_surface):
    """The volume as MGH and as NIfTI: one place, one content."""
    mgh = nib.load(folder / f"benson2025_{division}.mgz")
    nifti = nib.load(bids / f"sub-{sid}/anat/sub-{sid}_seg-{division}_dseg.nii.gz")
    assert mgh.shape == nifti.shape == (128, 128, 128)
    assert np.allclose(mgh.affine, nifti.affine, atol=1e-5), (mgh.affine, nifti.affine)
    values = np.asarray(mgh.dataobj)
    assert np.array_equal(values, np.asarray(nifti.dataobj))
    assert "deg" in nifti.header["descrip"].item().decode()
    for label in range(1, len(NAMES[division]) + 1):
        # A label on many vertices fills voxels.
        assert (values == label).any() or (on_surface == label).sum() < 5, label
    # Voxels of 8 mm^3: V1-V3 within 7 degrees have some cm^3.
    assert 1000 < 8 * (values > 0).sum() < 50_000, (values > 0).sum()
    return 2


def main(results):
    read = 0
    for sid in ("fsaverage5", "s41", "s42"):
        for division in NAMES:
            both = []
            for hemisphere in ("lh", "rh"):
                labels, files = surface(results / sid / "surf", hemisphere, division)
                both.append(labels)
                read += files
                letter = {"lh": "L", "rh": "R"}[hemisphere]
                name = f"sub-{sid}/anat/sub-{sid}_hemi-{letter}_seg-{division}_dseg.label.gii"
                assert np.array_equal(nib.load(results / "bids" / name).darrays[0].data, labels)
            if sid != "fsaverage5":
                read += volume(results / sid / "mri", results / "bids", sid, division, np.concatenate(both))
    print(f"read {read} files")


main(Path(sys.argv[1]))
