"""Flat maps of pycortex 1.4.0 on its subject S1 against the program's artifacts.

    pip install "numpy<3" "pycortex==1.4.0"
    python flatmaps.py --count 256                        pixels of pycortex's mask at this height
    python flatmaps.py --golden flatmaps.json             writes what the tests of `cortex/flat` and of curvature compare with
    python flatmaps.py CORTEX MAPPING                     compares a `cortex` and a `flat-mapping` that were made of S1

The height and the transform are those of the mapping. Compared are the mask, a volume of numbers and one with missing voxels sampled at all
pixels that both programs show, and curvature at vertices and pixels. Ends with 1 if a bar is missed. pycortex keeps what it computes in its
store, so the first run takes a minute.
"""

import argparse
import base64
import hashlib
import json
import pathlib
import sys
import time

import cortex
import numpy
from cortex.database import db
from cortex.quickflat import utils

SUBJECT = "S1"

# Of the golden numbers: the height, the transform and the samples between the surfaces.
HEIGHT, TRANSFORM, DEPTHS = 1024, "retinotopy", 32
PIXELS = 2000


def pycortex_mask(height, recache=True):
    """Rows from the top, as the program has them."""
    mask, extents = utils.get_flatmask(SUBJECT, height=height, recache=recache)
    return mask.T[::-1], extents


def picture(volume, name, height, depths, nanmean=True):
    """A volume (axes as NIfTI has them) as pycortex samples it: rows from the top, NaN where it shows nothing."""
    data = cortex.Volume(volume.T, SUBJECT, name)
    return utils.make_flatmap_image(data, height=height, thick=depths, nanmean=nanmean)[0]


def nearest_vertices(height):
    """The vertex that pycortex shows at every pixel, -1 outside of the mask; those of the right hemisphere after those of the left one."""
    cache = utils.get_flatcache(SUBJECT, None, height=height)
    mask, _ = utils.get_flatmask(SUBJECT, height=height)
    vertices = numpy.full(mask.shape, -1)
    vertices[mask] = cache.indices
    return vertices.T[::-1]


def curvature():
    """Left, then right: smoothed mean curvature of the surface halfway between white and pial."""
    return db.get_surfinfo(SUBJECT, type="curvature").data


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


def compare(folder, mapping):
    import nibabel

    about = json.loads((mapping / "about.json").read_text())
    height, name, depths = about["height"], about["transform"], about["depths"]
    missed = []

    def report(what, share, bar):
        print(f"{what}: {share:.6f} (bar {bar})")
        if not share >= bar:
            missed.append(what)

    began = time.time()
    theirs, extents = pycortex_mask(height)
    mask = numpy.load(mapping / "mask.npy")
    print(f"height {height}, transform {name}, picture {mask.shape[::-1]}, pycortex {theirs.shape[::-1]}")
    if mask.shape != theirs.shape:
        return ["the size of the picture"]
    report("pixels of pycortex's mask without those that differ", 1 - (mask != theirs).sum() / theirs.sum(), 0.999)
    print(f"  pixels: {mask.sum()} and {theirs.sum()}, different: {(mask != theirs).sum()}")
    ours = about["extents"]
    ends = numpy.array([ours["left"], ours["right"], ours["bottom"], ours["top"]])
    report("extents that are equal within 1e-3 mm", (abs(ends - extents) < 1e-3).mean(), 1.0)

    shape = db.get_xfm(SUBJECT, name).shape[::-1]
    if list(shape) != about["volume_shape"]:
        return missed + [f"the shape of the volume, {shape}"]
    i, j, k = numpy.indices(shape)
    smooth = numpy.sin(i / 5) + numpy.cos(j / 7) * k / 10 + 0.01 * i
    rough = numpy.random.default_rng(1).normal(size=shape)
    holes = numpy.where(rough > 1, numpy.nan, smooth)

    def picture_of_ours(values):
        pixels = numpy.full(mask.shape, numpy.nan)
        pixels[mask] = values
        return pixels

    for what, volume in (("smooth", smooth), ("rough", rough), ("smooth with holes", holes)):
        one, other = picture_of_ours(means(mapping, volume)), picture(volume, name, height, depths)
        both = ~numpy.isnan(one) & ~numpy.isnan(other)
        report(f"{what} values within 1e-5 on shared pixels", (abs(one - other)[both] <= 1e-5).mean(), 0.99)
        alone = (~numpy.isnan(one) & numpy.isnan(other)).sum(), (numpy.isnan(one) & ~numpy.isnan(other)).sum()
        print(f"  shared {both.sum()}, ours alone {alone[0]}, theirs alone {alone[1]}")
        report(f"{what}: pixels with a value", both.sum() / (both.sum() + sum(alone)), 0.999)
    one, other = picture_of_ours(means(mapping, holes, propagate=True)), picture(holes, name, height, depths, nanmean=False)
    equal = (numpy.isnan(one) & numpy.isnan(other)) | (abs(one - other) <= 1e-5)
    report("values with holes, missing ones propagated", equal[mask & theirs].mean(), 0.99)
    print(f"pycortex: mask, mapping and pictures in {time.time() - began:.1f} s")

    expected = curvature()
    found = numpy.concatenate([
        nibabel.load(folder / f"{side}.curvature.func.gii").darrays[0].data for side in ("lh", "rh")
    ])
    report("signs of curvature at vertices", (numpy.sign(found) == numpy.sign(expected)).mean(), 0.99)
    print(f"  largest difference {abs(found - expected).max():.2e} of {abs(expected).max():.2f}, "
          f"correlation {numpy.corrcoef(found, expected)[0, 1]:.6f}")
    vertices = nearest_vertices(height)
    both = mask & theirs
    one = picture_of_ours(numpy.load(mapping / "curvature.npy"))
    report("signs of curvature at pixels", (numpy.sign(one) == numpy.sign(expected[vertices]))[both].mean(), 0.99)
    report("nearest vertices", (picture_of_ours(numpy.load(mapping / "nearest.npy")) == vertices)[both].mean(), 0.99)
    return missed


def golden():
    """What pycortex makes of S1's left hemisphere: numbers as base64 of little-endian bytes, pixels counted by rows from the top."""
    mask, extents = pycortex_mask(HEIGHT)
    left = len(db.get_surf(SUBJECT, "flat", "lh")[0])
    shape = db.get_xfm(SUBJECT, TRANSFORM).shape[::-1]
    number = numpy.arange(numpy.prod(shape), dtype=numpy.int64)
    # Numbers that look irregular, the same in Rust: the first axis runs fastest. In the second volume every seventh is missing.
    values = (((number * number * 7919 + number * 104729) % 10007).astype(numpy.float32) / numpy.float32(997)).astype(float)
    whole = values.reshape(shape, order="F")
    holes = numpy.where(number % 7 == 3, numpy.nan, values).reshape(shape, order="F")
    vertices = nearest_vertices(HEIGHT)
    pictures = [
        picture(whole, TRANSFORM, HEIGHT, DEPTHS),
        picture(holes, TRANSFORM, HEIGHT, DEPTHS),
        picture(holes, TRANSFORM, HEIGHT, DEPTHS, nanmean=False),
    ]
    # The right hemisphere is not at hand in tests, so pixels are a little away from it.
    column = numpy.arange(mask.shape[1]) < numpy.searchsorted(numpy.linspace(extents[0], extents[1], mask.shape[1]), -2)
    candidates = numpy.flatnonzero(mask & column[None] & (vertices < left) & ~numpy.isnan(pictures[0]))
    pixels = numpy.sort(numpy.random.default_rng(0).choice(candidates, PIXELS, replace=False))

    def packed(array, kind):
        return base64.b64encode(numpy.ascontiguousarray(array).astype(kind).tobytes()).decode()

    positive = curvature()[:left] > 0
    return {
        "made by": "python flatmaps.py --golden flatmaps.json, pycortex 1.4.0",
        "height": HEIGHT,
        "width": int(mask.shape[1]),
        "depths": DEPTHS,
        "transform": TRANSFORM,
        "shape": [int(length) for length in shape],
        "mask_rows": [int(pixels) for pixels in mask.sum(1)],
        "extents": [float(end) for end in extents],
        "pixels": packed(pixels, "<u4"),
        "nearest": packed(vertices.ravel()[pixels], "<u4"),
        "values": packed(pictures[0].ravel()[pixels], "<f4"),
        "values_holes": packed(pictures[1].ravel()[pixels], "<f4"),
        "values_holes_propagated": packed(pictures[2].ravel()[pixels], "<f4"),
        "left_vertices": left,
        "gyri": base64.b64encode(numpy.packbits(positive, bitorder="little").tobytes()).decode(),
        "gyri_share": float(positive.mean()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=pathlib.Path)
    parser.add_argument("--count", type=int)
    parser.add_argument("--golden", type=pathlib.Path)
    given = parser.parse_args()
    if given.count:
        mask, extents = pycortex_mask(given.count)
        digest = hashlib.sha256(numpy.ascontiguousarray(mask).astype("u1").tobytes()).hexdigest()
        print(f"{mask.sum()} pixels, sha256 {digest}, of {mask.shape[::-1]}, extents {[round(float(x), 3) for x in extents]}")
        return 0
    if given.golden:
        lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in golden().items()]
        given.golden.write_text("{\n" + ",\n".join(lines) + "\n}\n")
        return 0
    missed = compare(*given.folders)
    print("missed: " + ", ".join(missed) if missed else "all bars are met")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
