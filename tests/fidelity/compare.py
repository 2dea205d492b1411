"""What neuropythy and Pillow make of the same files, beside our output; also the readers that `study.py` shares.

    compare.py OURS RECORDS

OURS is the folder that the example `fidelity` wrote: a subject in HCP's layout, its pRF maps and labels, and what the
program made of them. Every file is read again here with nibabel, so the program's writers are checked too. Names, rules and
tolerances of comparisons are in `steps.py`; records are appended to RECORDS. Exit code 1 if a comparison fails.

Resizing is held against Pillow's bilinear filter on floats, which has the same weights as torchvision's antialiased one.

Traps of the originals that are stepped around (none is a change of what they compute):
- pixels outside the mesh get face 0, whose lookup fails unless vertex 0 is on the map: such pixels are sorted out
  before they are looked up;
- no fsaverage comes with the package, and `predict_retinotopy` asks for one: it gets fsaverage's triangles with the
  coordinates of a regular subdivided icosahedron, made here and independently of the program;
- `hcp_retinotopy` reads the results from a folder of ours, and asks for subjects that are in the layout of HCP: it gets
  hemispheres with the spheres that it needs;
- `torch.linspace` in single precision is written out, so that this part needs no torch.
"""

import json
import sys
import tempfile
import warnings
from pathlib import Path
from types import SimpleNamespace

warnings.filterwarnings("ignore")

import nibabel as nib
import numpy as np
import neuropythy as ny
import neuropythy.vision.retinotopy as retinotopy
import pimms
from PIL import Image, __version__ as pillow

from neuropythy.datasets.hcp import HCPRetinotopyDataset
from records import Records
from scipy.spatial import ConvexHull

HEMISPHERES = {"lh": "L", "rh": "R"}
RADII = {"hcp": np.pi / 2.25, "freesurfer": np.pi / 2}
PIXELS = 512
SIZES = (128, 64, 50)
BANDS = (0, 0.5, 1, 2, 4, 7)
LIBRARY = Path(ny.__file__).parent / "lib/data/fsaverage/surf"

NEUROPYTHY = "neuropythy 0.13.0"
PILLOW = f"Pillow {pillow}"


def read_safetensors(path):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    about = header.pop("__metadata__", {})
    kinds = {"F32": "<f4", "F64": "<f8", "I64": "<i8"}
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(data[begin:end], kinds[entry["dtype"]]).reshape(entry["shape"])
    return tensors, about


class Subject:
    """One hemisphere of a subject in HCP's layout, read with nibabel."""

    def __init__(self, folder, hemisphere):
        sid = next(entry.name for entry in folder.iterdir())
        surf = folder / sid / "T1w" / sid / "surf"
        letter = HEMISPHERES[hemisphere]
        _, self.faces = nib.freesurfer.read_geometry(surf / f"{hemisphere}.white")
        self.sphere, _ = nib.freesurfer.read_geometry(surf / f"{hemisphere}.sphere.reg")
        native = folder / sid / "T1w" / "Native" / f"{sid}.{letter}.midthickness.native.surf.gii"
        myelin = folder / sid / "MNINonLinear" / "Native" / f"{sid}.{letter}.MyelinMap_BC.native.func.gii"
        self.maps = dict(zip("xyz", nib.load(native).darrays[0].data.T))
        for name, file in dict(curvature="curv", convexity="sulc", thickness="thickness", surface_area="area.mid").items():
            self.maps[name] = nib.freesurfer.read_morph_data(surf / f"{hemisphere}.{file}")
        self.maps["myelin"] = nib.load(myelin).darrays[0].data
        self.hemisphere = hemisphere

    def cortex(self):
        return cortex(self.hemisphere, self.faces, self.sphere)


def cortex(hemisphere, faces, sphere, registration="fsaverage"):
    tess = ny.geometry.Tesselation(np.asarray(faces).T)
    sphere = np.asarray(sphere, dtype=float).T
    meshes = {registration: ny.geometry.Mesh(tess, sphere)}
    return ny.mri.Cortex(hemisphere, tess, {"white": sphere, "pial": sphere}, meshes)


def mgz(path):
    return np.squeeze(np.asarray(nib.load(path).dataobj))


def linspace(start, end, count):
    """torch.linspace in single precision: from the nearer end, multiplied and added with one rounding. (The product is exact with 64
    bits; their second rounding is another one only where the sum lies within 2^-29 of the middle between two numbers of 32 bits.)"""
    start, end = np.float32(start), np.float32(end)
    step = np.float64((end - start) / np.float32(count - 1))
    index = np.arange(count)
    near = np.where(index < count // 2, start + step * index, end - step * (count - 1 - index))
    return near.astype(np.float32)


def addresses(flatmap, pixels):
    """Painted pixels and their addresses, by the steps of the original's `flatmap_imaddrs`."""
    (xmin, ymin), (xmax, ymax) = flatmap.coordinates.min(1), flatmap.coordinates.max(1)
    x, y = np.meshgrid(linspace(xmin, xmax, pixels), linspace(ymax, ymin, pixels))
    xmiddle, ymiddle = (ymax + ymin) / 2, (xmax + xmin) / 2
    radius = max(xmax - xmiddle, ymax - ymiddle)
    disc = np.sqrt(x**2 + y**2) < np.float32(radius)
    inside = disc.copy()
    inside[disc] = [face is not None for face in flatmap.container(np.array([x[disc], y[disc]]))]
    found = dict(flatmap.address(np.array([x[inside], y[inside]])))
    found["faces"] = flatmap.tess.index(found["faces"])
    return inside, found


def paint(where, values, method):
    inside, found = where
    image = np.zeros(inside.shape, dtype=np.float32)
    image[inside] = ny.util.address_interpolate(found, values, method=method)
    return np.nan_to_num(image, nan=0.0)


def bands(area, eccentricity):
    in_area = np.isin(area, (1, 2, 3))
    ring = np.zeros(area.shape, dtype=int)
    for k in range(1, len(BANDS)):
        ring[in_area & (eccentricity >= BANDS[k - 1]) & (eccentricity < BANDS[k])] = k
    return np.where(ring > 0, area, 0), ring


def resized(image, rows, columns):
    return np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BILINEAR))


def sample(flatmap, images):
    """Labels at vertices, by the steps of the original's `inv` and `invlabels`."""
    (xmin, ymin), (xmax, ymax) = flatmap.coordinates.min(1), flatmap.coordinates.max(1)
    x, y = flatmap.coordinates
    column = ((PIXELS - 1) * (x - xmin) / (xmax - xmin)).round().astype(int)
    row = ((PIXELS - 1) * (y - ymax) / (ymin - ymax)).round().astype(int)
    large = np.array([resized(image, PIXELS, PIXELS) for image in images])[:, row, column]
    most = large.max(0)
    return np.where(most > 1 - large.sum(0), large.argmax(0) + 1, 0)


def icosahedral(faces):
    """The regular sphere under fsaverage's triangles; a vertex's parents are its two neighbours of a coarser level."""
    counts = [10 * 4**level + 2 for level in range(8)]
    families = []
    for old, count in reversed(list(zip(counts, counts[1:]))):
        edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        edges = edges[(edges.min(1) < old) & (edges.max(1) >= old)]
        pairs = np.unique(np.stack([edges.max(1), edges.min(1)], 1), axis=0)
        assert (pairs[:, 0] == np.repeat(np.arange(old, count), 2)).all()
        parents = pairs[:, 1].reshape(-1, 2)
        families.append(parents)
        inner = faces[(faces >= old).all(1)] - old
        # The parent that two vertices have in common.
        shared = lambda a, b: np.where((parents[a][:, :1] == parents[b]).any(1), parents[a][:, 0], parents[a][:, 1])
        a, b, c = inner.T
        faces = np.stack([shared(c, a), shared(a, b), shared(b, c)], 1)
    ring = lambda start, z: [(2 * abs(z) * np.cos(t), 2 * abs(z) * np.sin(t), z) for t in np.radians(start + 72 * np.arange(5))]
    z = 1 / np.sqrt(5)
    points = np.array([(0, 0, 1), *ring(-72, z), *ring(-108, -z), (0, 0, -1)])
    for parents in reversed(families):
        middle = points[parents].sum(1)
        points = np.concatenate([points, middle / np.linalg.norm(middle, axis=1, keepdims=True)])
    return np.round(100 * points, 2)


def prior(subject):
    """The original's whole `predict_retinotopy`, with the fsaverage that the package does not have."""
    h = subject.hemisphere
    _, faces = nib.freesurfer.read_geometry(LIBRARY / f"{h}.benson14_retinotopy.v4_0.sphere.reg")
    fsaverage = SimpleNamespace(**{h: cortex(h, faces, icosahedral(faces))})
    retinotopy.nyfs = SimpleNamespace(subject=lambda _: fsaverage)
    found = retinotopy.predict_retinotopy(subject.cortex())
    return bands(found["varea"], found["eccen"])


MEASURED = 100610


def fields(records, ours):
    """The original's whole way from results on fs_LR to a subject's vertices."""
    atlas = ours / f"measured/{MEASURED}/MNINonLinear"
    hemispheres = {}
    for h, letter in HEMISPHERES.items():
        _, faces = nib.freesurfer.read_geometry(ours / f"measured/{MEASURED}/T1w/{MEASURED}/surf/{h}.white")
        native = nib.load(atlas / f"Native/{MEASURED}.{letter}.sphere.MSMAll.native.surf.gii").darrays[0].data
        shared = nib.load(atlas / f"fsaverage_LR59k/{MEASURED}.{letter}.sphere.59k_fs_LR.surf.gii").darrays[0].data
        hemispheres[f"{h}_native_MSMAll"] = cortex(h, faces, native, "fs_LR")
        hemispheres[f"{h}_LR59k_MSMAll"] = cortex(h, ConvexHull(shared).simplices, shared, "fs_LR")
    subject = ny.mri.Subject(name=str(MEASURED), hemis=pimms.lazy_map(hemispheres), meta_data={"default_alignment": "MSMAll"})
    ny.data = {"hcp": SimpleNamespace(_subjects={MEASURED: subject})}
    with tempfile.TemporaryDirectory() as cache:
        data = HCPRetinotopyDataset(url=str(ours / "results"), cache_directory=cache)
        subject = data.subjects[MEASURED]
        for h in HEMISPHERES:
            for name, quantity in (("x", "x"), ("y", "y"), ("sigma", "radius"), ("cod", "variance_explained")):
                mine, theirs = mgz(ours / f"fields/{h}.prf_{name}.mgz"), subject.hemis[h].prop(f"prf_{quantity}")
                there = np.isfinite(theirs)
                records.compare("fields/there", f"{h}, {name}", np.isfinite(mine), there, NEUROPYTHY)
                records.compare("fields/values", f"{h}, {name}", mine[there], theirs[there], NEUROPYTHY)


def check_maps(records, subject, tensors):
    h = subject.hemisphere
    flatmaps = {}
    for name, radius in RADII.items():
        flatmap = ny.map_projection("occipital_pole", h, radius=radius)(subject.cortex())
        mine = {what: tensors[f"{h}.{name}.{what}"] for what in ("vertices", "faces", "coordinates")}
        for what, expected in (("vertices", flatmap.labels), ("faces", flatmap.tess.faces.T)):
            records.compare("projection/mesh", f"{h}, radius of {name}, {what}", mine[what], expected, NEUROPYTHY)
        records.compare("projection/coordinates", f"{h}, radius of {name}", mine["coordinates"], flatmap.coordinates.T, NEUROPYTHY)
        flatmaps[name] = flatmap
    return flatmaps["hcp"]


def originals(ours, subject, flatmap):
    """Painted images of all channels, by name."""
    h = subject.hemisphere
    where = addresses(flatmap, PIXELS)
    maps = dict(subject.maps)
    for quantity in ("x", "y", "sigma", "cod"):
        maps[f"prf_{quantity}"] = mgz(ours / f"prf/{h}.prf_{quantity}.mgz")
    images = {name: paint(where, values[flatmap.labels], "linear") for name, values in maps.items()}
    area, ring = (mgz(ours / f"labels/{h}.{name}.mgz")[flatmap.labels] for name in ("area", "ring"))
    for k in (1, 2, 3):
        images[f"V{k}"] = paint(where, (area == k).astype(int), "nearest")
    for k in (1, 2, 3, 4, 5):
        images[f"E{k - 1}"] = paint(where, (ring == k).astype(int), "nearest")
    images["dwi_OR"] = images["dwi_VOF"] = np.zeros_like(images["x"])
    return images


def main():
    ours, path = map(Path, sys.argv[1:])
    records = Records()
    tensors, _ = read_safetensors(ours / "maps.safetensors")
    images, flatmaps = {}, {}
    for h in HEMISPHERES:
        subject = Subject(ours / "subject", h)
        flatmaps[h] = check_maps(records, subject, tensors)
        images[h] = originals(ours, subject, flatmaps[h])
    both = {name: np.hstack([images["lh"][name], images["rh"][name]]) for name in images["lh"]}
    for file, tensor in (("images", "images"), ("targets", "targets")):
        mine, about = read_safetensors(ours / f"{file}_{PIXELS}.safetensors")
        names = about["channels"].split(",")
        for name, image in zip(names, mine[tensor]):
            records.compare("images/neuropythy", name, image, both[name], NEUROPYTHY)
        for size in SIZES:
            small, _ = read_safetensors(ours / f"{file}_{size}.safetensors")
            expected = np.array([resized(both[name], size, 2 * size) for name in names])
            records.compare("resize/pillow", f"{file} at {size} x {2 * size}", small[tensor], expected, PILLOW)
    targets, _ = read_safetensors(ours / "targets_64.safetensors")
    for h, half in (("lh", targets["targets"][:, :, :64]), ("rh", targets["targets"][:, :, 64:])):
        for name, part in (("area", half[:3]), ("ring", half[3:])):
            expected = sample(flatmaps[h], part)
            records.compare("predictions/sampled", f"{h}, {name}", tensors[f"{h}.sampled.{name}"], expected, f"{NEUROPYTHY}, {PILLOW}")
        area, ring = prior(Subject(ours / "turned", h))
        for name, expected in (("area", area), ("ring", ring)):
            records.compare("prior/labels", f"{h}, {name}", mgz(ours / f"prior/{h}.{name}.mgz").astype(int), expected, NEUROPYTHY)
    fields(records, ours)
    records.append_to(path)
    sys.exit(1 if records.failed else 0)


if __name__ == "__main__":
    main()
