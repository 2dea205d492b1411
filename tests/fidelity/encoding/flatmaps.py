"""Flat maps of pycortex 1.4.0 on its subject S1 against the program's artifacts.

    pip install "numpy<3" "pycortex==1.4.0"
    python flatmaps.py --count 256                        pixels of pycortex's mask at this height
    python flatmaps.py CORTEX MAPPING                     compares a `cortex` and a `flat-mapping` that were made of S1

The height and the transform are those of the mapping. Compared are the mask, a volume of numbers and one with missing voxels sampled at all
pixels that both programs show, and curvature at vertices and pixels. Ends with 1 if a bar is missed. pycortex keeps what it computes in its
store, so the first run takes a minute.
"""

import argparse
import hashlib
import json
import pathlib
import sys
import time

import numpy
from cortex import polyutils
from cortex.database import db
from cortex.quickflat import utils

SUBJECT = "S1"


def pycortex_mask(height):
    """Rows from the top, as the program has them."""
    mask, extents = utils.get_flatmask(SUBJECT, height=height, recache=True)
    return mask.T[::-1], extents


def curvature():
    """Left, then right: smoothed mean curvature of the surface halfway between white and pial."""
    both = []
    for points, triangles in db.get_surf(SUBJECT, "fiducial"):
        surface = polyutils.Surface(points, triangles)
        both.append(surface.smooth(surface.mean_curvature(), 20))
    return numpy.concatenate(both)


def means(mapping, values, propagate=False):
    """Means over depths, as the program makes them."""
    starts, voxels, depths = (numpy.load(mapping / f"{name}.npy") for name in ("voxel_starts", "voxels", "voxel_depths"))
    pixel = numpy.repeat(numpy.arange(len(starts) - 1), numpy.diff(starts.astype(int)))
    at = values.ravel(order="F")[voxels]
    weights = depths.astype(float)
    if not propagate:
        weights = numpy.where(numpy.isnan(at), 0, weights)
        at = numpy.nan_to_num(at)
    count = len(starts) - 1
    with numpy.errstate(invalid="ignore"):
        return numpy.bincount(pixel, at * weights, count) / numpy.bincount(pixel, weights, count)


def compare(cortex, mapping):
    import nibabel

    about = json.loads((mapping / "about.json").read_text())
    height, name = about["height"], about["transform"]
    missed = []

    def report(what, share, bar):
        print(f"{what}: {share:.6f} (bar {bar})")
        if not share >= bar:
            missed.append(what)

    began = time.time()
    theirs, extents = pycortex_mask(height)
    mask = numpy.load(mapping / "mask.npy")
    print(f"height {height}, transform {name}, picture {mask.shape[::-1]}, pycortex {theirs.shape[::-1]}")
    report("pixels of the mask that are equal", (mask == theirs).mean(), 0.999)
    print(f"pixels: {mask.sum()} and {theirs.sum()}, different: {(mask != theirs).sum()}")
    ours = about["extents"]
    ends = numpy.array([ours["left"], ours["right"], ours["bottom"], ours["top"]])
    report("extents that are equal within 1e-3 mm", (abs(ends - extents) < 1e-3).mean(), 1.0)

    transform = db.get_xfm(SUBJECT, name)
    pixmap = utils._make_pixel_cache(SUBJECT, name, height=height, thick=about["depths"])
    print(f"pycortex: mask and mapping in {time.time() - began:.1f} s")
    shape = transform.shape[::-1]
    assert list(shape) == about["volume_shape"], (shape, about["volume_shape"])
    i, j, k = numpy.indices(shape)
    smooth = numpy.sin(i / 5) + numpy.cos(j / 7) * k / 10 + 0.01 * i
    rough = numpy.random.default_rng(1).normal(size=shape)
    holes = numpy.where(rough > 1, numpy.nan, smooth)
    shown = numpy.asarray(pixmap.sum(1)).ravel() > 0

    def picture_of_theirs(volume):
        values = pixmap @ volume.T.ravel()
        values[~shown] = numpy.nan
        picture = numpy.full(theirs[::-1].T.shape, numpy.nan)
        picture[theirs[::-1].T] = values
        return picture.T[::-1]

    def picture_of_ours(values):
        picture = numpy.full(mask.shape, numpy.nan)
        picture[mask] = values
        return picture

    for what, volume in (("smooth", smooth), ("rough", rough)):
        one, other = picture_of_ours(means(mapping, volume)), picture_of_theirs(volume)
        both = ~numpy.isnan(one) & ~numpy.isnan(other)
        report(f"{what} values within 1e-5 on shared pixels", (abs(one - other)[both] <= 1e-5).mean(), 0.99)
        print(f"  shared {both.sum()}, ours alone {(~numpy.isnan(one) & numpy.isnan(other)).sum()}, "
              f"theirs alone {(numpy.isnan(one) & ~numpy.isnan(other)).sum()}")
    one, other = picture_of_ours(means(mapping, holes, propagate=True)), picture_of_theirs(holes)
    equal = (numpy.isnan(one) & numpy.isnan(other)) | (abs(one - other) <= 1e-5)
    report("values with holes, missing ones propagated", equal[mask & theirs].mean(), 0.99)

    expected = curvature()
    found = numpy.concatenate([
        nibabel.load(cortex / f"{side}.curvature.func.gii").darrays[0].data for side in ("lh", "rh")
    ])
    report("signs of curvature at vertices", (numpy.sign(found) == numpy.sign(expected)).mean(), 0.99)
    print(f"  largest difference {abs(found - expected).max():.2e} of {abs(expected).max():.2f}, "
          f"correlation {numpy.corrcoef(found, expected)[0, 1]:.6f}")
    nearest = utils._make_vertex_cache(SUBJECT, height=height)
    values = nearest @ expected
    picture = numpy.full(theirs[::-1].T.shape, numpy.nan)
    picture[theirs[::-1].T] = values
    other = picture.T[::-1]
    one = picture_of_ours(numpy.load(mapping / "curvature.npy"))
    both = mask & theirs
    report("signs of curvature at pixels", (numpy.sign(one) == numpy.sign(other))[both].mean(), 0.99)
    report("nearest vertices", (abs(one - other)[both] < 1e-4).mean(), 0.99)
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=pathlib.Path)
    parser.add_argument("--count", type=int)
    given = parser.parse_args()
    if given.count:
        mask, extents = pycortex_mask(given.count)
        digest = hashlib.sha256(numpy.ascontiguousarray(mask).astype("u1").tobytes()).hexdigest()
        print(f"{mask.sum()} pixels, sha256 {digest}, of {mask.shape[::-1]}, extents {[round(float(x), 3) for x in extents]}")
        return 0
    missed = compare(*given.folders)
    print("missed: " + ", ".join(missed) if missed else "all bars are met")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
