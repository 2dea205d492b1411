"""What `target/release/pipe` computes of pictures, next to Pillow, torchvision, scikit-learn and NumPy on the same pictures and weights.

Twelve pictures, three objects in four colours, of several sizes and forms of files, go through six networks with the weights of a seed. Pictures
are compared with torchvision's Resize, ToTensor and Normalize, exactly; activations within 1e-4 of the root mean square of their layer, given the pixels
that the program has; RDMs and analyses of variance within 1e-6 and 1e-9, and accuracies exactly, given its activations. CORnet-S is not in torchvision, and is not
compared.
"""

import json
import os
import subprocess
from itertools import combinations

import numpy as np
import pyarrow.parquet as parquet
import torch
from PIL import Image
from sklearn.svm import SVC
from torchvision import transforms

import activations
import decoding
from dissimilarities import of_patterns
from golden_files import mixed, require

OBJECTS, COLOURS = ["stripes", "rings", "checks"], [(250, 60, 40), (60, 220, 90), (50, 80, 240), (200, 190, 60)]
SIZES = [(128, 96), (160, 120), (96, 72), (64, 48)]
SIDE, LARGE = 64, 224
# How many of the comparisons of accuracies must be of machines whose decisions are not near to 0.
CERTAIN = 0.8
LAYERS = ["original_rgb", "conv1", "fc1"]

PIPELINE = """
pipe: 1
pipeline: networks
seed: 11
params: {{ architectures: [{architectures}] }}
stages:
  table: {{ uses: table/import, in: {{ file: table.csv }} }}
  stimuli: {{ uses: stimuli/import, in: {{ images: images, table: $table.table }} }}
  network: {{ each: {{ architecture: $params.architectures }}, uses: net/random, with: {{ architecture: $each.architecture, side: {side} }} }}
  large: {{ each: {{ architecture: $params.architectures }}, uses: net/random, with: {{ architecture: $each.architecture, side: {large} }} }}
  opened: {{ uses: net/open, in: {{ weights: googlenet.pth }}, with: {{ architecture: googlenet, side: {side} }} }}
  uniform: {{ uses: net/weights, in: {{ network: $network(architecture=alexnet).network }} }}
  normal: {{ uses: net/weights, in: {{ network: $network(architecture=resnet18).network }} }}
  layers: {{ uses: net/layers, in: {{ network: $network(*).network }} }}
  pixels:
    uses: net/features
    in: {{ stimuli: $stimuli.stimuli, network: $network(architecture=alexnet).network }}
    with: {{ layers: [original_rgb] }}
  large_pixels:
    uses: net/features
    in: {{ stimuli: $stimuli.stimuli, network: $large(architecture=alexnet).network }}
    with: {{ layers: [original_rgb] }}
  cropped_pixels:
    uses: net/features
    in: {{ stimuli: $stimuli.stimuli, network: $network(architecture=alexnet).network }}
    with: {{ layers: [original_rgb], crop: centre }}
  units: {{ each: {{ architecture: $params.architectures }}, uses: net/features, in: {{ stimuli: $stimuli.stimuli, network: $network.network }} }}
  means:
    each: {{ architecture: $params.architectures }}
    uses: net/features
    in: {{ stimuli: $stimuli.stimuli, network: $large.network }}
    with: {{ activation: feature_means }}
  aliased:
    each: {{ architecture: $params.architectures }}
    uses: net/features
    in: {{ stimuli: $stimuli.stimuli, network: $network.network }}
    with: {{ activation: feature_means, compat: [alias_inplace] }}
  of_stimuli:
    each: {{ architecture: $params.architectures }}
    uses: net/calibrate
    in: {{ stimuli: $stimuli.stimuli, network: $network.network }}
  calibrated:
    each: {{ architecture: $params.architectures }}
    uses: net/features
    in: {{ stimuli: $stimuli.stimuli, network: $of_stimuli.network }}
    with: {{ activation: feature_means }}
  opened_means: {{ uses: net/features, in: {{ stimuli: $stimuli.stimuli, network: $opened.network }}, with: {{ activation: feature_means }} }}
  rdms:
    uses: net/rdms
    in: {{ stimuli: $stimuli.stimuli, network: $network(architecture=alexnet).network }}
    with: {{ dissimilarities: [correlation, euclidean, squared_euclidean, cosine] }}
  swapped:
    uses: net/rdms
    in: {{ stimuli: $stimuli.stimuli, network: $network(architecture=alexnet).network }}
    with: {{ layers: [conv1], compat: [swap_rgb] }}
  anova:
    each: {{ architecture: $params.architectures }}
    uses: net/anova
    in: {{ stimuli: $stimuli.stimuli, network: $network.network }}
    with: {{ factors: [object, colour], layers: [{layers}] }}
  decoding:
    each: {{ architecture: $params.architectures }}
    uses: net/decode
    in: {{ stimuli: $stimuli.stimuli, network: $network.network }}
    with: {{ variables: [object, colour], layers: [{layers}] }}
"""


def picture(shape, colour, size):
    """A pattern of an object in a colour, with a texture that differs from pixel to pixel."""
    x, y = np.meshgrid(np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1]))
    waves = {"stripes": np.sin(9 * x + 2 * y), "rings": np.cos(11 * np.hypot(x, 0.8 * y)), "checks": np.sin(8 * x) * np.sin(7 * y)}[shape]
    texture = np.array([mixed(at) for at in range(x.size)]).reshape(x.shape)
    grey = np.clip(0.5 + 0.35 * waves + 0.2 * texture, 0, 1)
    return Image.fromarray((grey[:, :, None] * np.array(colour)).astype(np.uint8))


def subsampling(shape):
    return 0 if shape == "rings" else 2


def write_pictures(folder):
    """The files and their table; of each object one JPEG, one with transparency, one in grey or a palette."""
    (folder / "images").mkdir()
    lines = ["id,path,object,colour"]
    for row, shape in enumerate(OBJECTS):
        for column, colour in enumerate(COLOURS):
            image = picture(shape, colour, SIZES[(row + column) % len(SIZES)])
            name = f"{shape}_{column}" + (".jpg" if column == 1 else ".png")
            if column == 2:
                image.putalpha(Image.fromarray(np.full((image.height, image.width), 90, np.uint8)))
            if column == 3:
                image = image.convert("L") if row == 0 else image.quantize(32)
            image.save(folder / "images" / name, **({"quality": 92, "subsampling": subsampling(shape)} if column == 1 else {}))
            lines.append(f"{shape}_{column},{name},{shape},c{column}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")


def write_checkpoint(folder):
    """Published weights as they often come: of a network on several GPUs, beside the state of an optimiser."""
    model = activations.network("googlenet", 5)
    weights = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9).state_dict()
    torch.save({"epoch": 3, "state_dict": weights, "optimizer": optimiser}, folder / "googlenet.pth")


class ProgramRun:
    """A run of the program on the pictures, and where its artifacts are."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        write_pictures(folder)
        write_checkpoint(folder)
        names = {"architectures": ", ".join(activations.NETWORKS), "layers": ", ".join(LAYERS)}
        (folder / "networks.yaml").write_text(PIPELINE.format(side=SIDE, large=LARGE, **names))
        self.environment = {**os.environ, "PIPE_CACHE": str(folder / "cache")}
        done = subprocess.run([program, "run", "networks.yaml"], cwd=folder, env=self.environment, capture_output=True, text=True)
        require(done.returncode == 0, f"`pipe run` ended with {done.returncode}:\n{done.stdout}{done.stderr}")

    def path(self, artifact):
        command = [self.program, "path", "networks.yaml", artifact]
        found = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        require(found.returncode == 0, f"`pipe path {artifact}` ended with {found.returncode}: {found.stderr}")
        return self.folder / found.stdout.strip()

    def table(self, artifact, file="table.parquet"):
        return parquet.read_table(self.path(artifact) / file).to_pylist()

    def features(self, artifact):
        """By layer, in the order of columns: numbers [stimuli, features], or [stimuli, features, rows, columns] of units."""
        folder = self.path(artifact)
        rows = parquet.read_table(folder / "rows.parquet").column("id").to_pylist()
        require(rows == [row["id"] for row in self.table("table.table")], f"{artifact} has the rows {rows}")
        columns = parquet.read_table(folder / "columns.parquet")
        layers = columns.column("layer").to_numpy(zero_copy_only=False)
        ends = np.flatnonzero(layers[1:] != layers[:-1]) + 1
        values = np.load(folder / "values.npy", mmap_mode="r")
        found = {}
        for first, end in zip([0, *ends], [*ends, len(layers)]):
            part = columns.slice(first, end - first)
            axes = [axis for axis in ("feature", "row", "column") if axis in part.column_names]
            places = [part.column(axis).to_numpy() for axis in axes]
            shape = [int(place.max()) + 1 for place in places]
            require((np.ravel_multi_index(places, shape) == np.arange(end - first)).all(), f"columns of {layers[first]} are in another order")
            numbers = np.ascontiguousarray(values[:, first:end]).reshape(-1, *shape)
            require(layers[first] not in found, f"{layers[first]} is there twice")
            found[layers[first]] = numbers
        return found

    def seed(self, artifact):
        return json.loads((self.path(artifact) / "network.json").read_text())["weights"]["seed"]


def same(ours, theirs, what, tolerance=1e-4):
    """That numbers are those of another program, within a share of their root mean square."""
    ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
    require(ours.size == theirs.size, f"{what} has {ours.size} numbers, expected {theirs.size}")
    size = np.sqrt((theirs**2).mean())
    worst = np.abs(ours.ravel() - theirs.ravel()).max()
    require(worst <= tolerance * size, f"{what} differs by {worst:.3g}, of a root mean square of {size:.3g}")


def tensors(path):
    """The tensors of a safetensors file that are of 32-bit floats, by name."""
    data = np.fromfile(path, np.uint8)
    start = 8 + int(data[:8].view("<u8")[0])
    header = json.loads(data[8:start].tobytes())
    parts = {name: entry for name, entry in header.items() if entry.get("dtype") == "F32"}
    place = lambda entry: slice(*(start + offset for offset in entry["data_offsets"]))
    return {name: data[place(entry)].tobytes() for name, entry in parts.items()}


def compare_weights(run):
    for artifact, architecture in (("uniform", "alexnet"), ("normal", "resnet18")):
        found = tensors(run.path(f"{artifact}.weights"))
        state = activations.network(architecture, run.seed(f"network(architecture={architecture}).network")).state_dict()
        require(found.keys() == {name for name in state if not name.endswith("num_batches_tracked")}, f"{architecture} has the weights {list(found)}")
        for name, bytes_ in found.items():
            ours, theirs = np.frombuffer(bytes_, "<f4"), state[name].numpy().ravel()
            require(ours.shape == theirs.shape, f"{name} of {architecture} has {ours.size} numbers")
            # The last bit may be another, because logarithms and sines are those of another library.
            require((np.abs(ours - theirs) <= np.spacing(np.abs(theirs))).all(), f"{name} of {architecture} has other numbers")


def pixels(run, artifact):
    return torch.from_numpy(run.features(artifact)["original_rgb"].astype(np.float32))


def compare_pictures(run, artifact, side, crop):
    steps = [transforms.Resize(side)] + ([transforms.CenterCrop(side)] if crop else [])
    steps += [transforms.ToTensor(), transforms.Normalize(activations.MEAN, activations.STD)]
    prepare = transforms.Compose(steps)
    level = torch.tensor(activations.STD).view(3, 1, 1) * 255
    for ours, row in zip(pixels(run, artifact), run.table("table.table")):
        theirs = prepare(Image.open(run.folder / "images" / row["path"]).convert("RGB"))
        require(ours.shape == theirs.shape, f"{row['path']} has the shape {list(ours.shape)}, expected {list(theirs.shape)}")
        worst = float(((ours - theirs).abs() * level).max())
        # Of a level of 255; less is rounding in 32 bits.
        require(worst <= 0.001, f"{row['path']} differs by {worst:.3f} levels in {artifact}")


def compare_layers(run):
    for architecture in activations.NETWORKS:
        rows = [row for row in run.table("layers.table") if row["network"] == f"{architecture}_random"]
        model = activations.network(architecture, run.seed(f"network(architecture={architecture}).network"))
        book, outputs = activations.book(model), activations.outputs(model, torch.zeros(1, 3, SIDE, SIDE))
        require(len(rows) == len(book), f"{architecture} has {len(rows)} layers, expected {len(book)}")
        for rank, (row, (name, kind, address, module)) in enumerate(zip(rows, book), 1):
            shape = list(outputs[name][-1].shape[1:])
            expected = {
                "layer": name, "rank": rank, "type": kind, "address": address, "shape": "x".join(map(str, shape)), "units": int(np.prod(shape)),
                "features": shape[0], "parameters": sum(part.numel() for part in module.parameters()), "runs": len(outputs[name]),
            }
            require({key: row[key] for key in expected} == expected, f"{architecture} has the layer {row}, expected {expected}")


def means(output):
    return output.double().mean((2, 3)) if output.dim() == 4 else output.double()


def of_torch(model, images, reduce=lambda output: output, **options):
    """By layer what torchvision gives, of the last run of each, three images at a time."""
    parts = [activations.outputs(model, part, **options) for part in images.split(3)]
    return {name: torch.cat([reduce(part[name][-1]) for part in parts]).numpy() for name in parts[0]}


def compare_activations(run, artifact, theirs, tolerance=1e-4):
    ours = run.features(artifact)
    require(list(ours) == list(theirs), f"{artifact} has the layers {list(ours)}, expected {list(theirs)}")
    for name in theirs:
        same(ours[name], theirs[name], f"{name} of {artifact}", tolerance)


def of_each(run, stage, networks, shown, make, tolerance=1e-4):
    """Compares a stage for each network of another one; `make` gives torchvision's numbers of a network and the images that are shown."""
    images = pixels(run, shown)
    for architecture in activations.NETWORKS:
        model = activations.network(architecture, run.seed(f"{networks}(architecture={architecture}).network"))
        compare_activations(run, f"{stage}(architecture={architecture}).matrix", make(model, images), tolerance)


def calibrated(model, images):
    """With the statistics of the images: normalisations as in training, all images at a time."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.train()
    found = activations.outputs(model, images)
    return {name: means(runs[-1]).numpy() for name, runs in found.items()}


def compare_aliases(run):
    without_copies = lambda model, images: of_torch(model, images.clone(), means, copies=False)
    of_each(run, "aliased", "network", "pixels.matrix", without_copies)
    alexnet = run.features("aliased(architecture=alexnet).matrix")
    for number in range(1, 6):
        require((alexnet[f"conv{number}"] == alexnet[f"relu{number}"]).all(), f"conv{number} is not relu{number} with `alias_inplace`")
    copied = run.features("units(architecture=alexnet).matrix")
    require((copied["conv1"] < 0).any() and (copied["relu1"] >= 0).all(), "conv1 is rectified without `alias_inplace`")


def compare_opened(run):
    model = activations.network("googlenet", 5, transform_input=True)
    compare_activations(run, "opened_means.matrix", of_torch(model, pixels(run, "pixels.matrix"), means))


def rdms(run, artifact):
    folder = run.path(artifact)
    index, values = parquet.read_table(folder / "index.parquet").to_pylist(), np.load(folder / "values.npy")
    return {(row["layer"], row["activation"], row["dissimilarity"]): triangle for row, triangle in zip(index, values)}


def compare_rdms(run):
    found = rdms(run, "rdms.rdms")
    layers = {**run.features("pixels.matrix"), **run.features("units(architecture=alexnet).matrix")}
    for name, numbers in layers.items():
        numbers = numbers.astype(float)
        units = numbers.reshape(len(numbers), -1)
        for activation, patterns in (("unit_level", units), ("feature_means", numbers.mean((2, 3)) if numbers.ndim == 4 else units)):
            for dissimilarity, expected in of_patterns(patterns).items():
                same(found.pop((name, activation, dissimilarity)), expected, f"{dissimilarity} of {name}, {activation},", 1e-6)
    require(not found, f"RDMs are there of {list(found)}")


def compare_swapped(run):
    plain, swapped = rdms(run, "rdms.rdms"), rdms(run, "swapped.rdms")
    for (layer, activation, dissimilarity), triangle in swapped.items():
        other = {"unit_level": "feature_means", "feature_means": "unit_level"}[activation] if layer == "original_rgb" else activation
        require((triangle == plain[layer, other, dissimilarity]).all(), f"{layer} {activation} is not {other} with `swap_rgb`")


def patterns_of(run, architecture):
    """By layer, [object, colour, unit] and how many units a feature has."""
    found = {**run.features("pixels.matrix"), **run.features(f"units(architecture={architecture}).matrix")}
    for layer in LAYERS:
        numbers = found[layer].astype(float)
        yield layer, numbers.reshape(len(OBJECTS), len(COLOURS), -1), int(np.prod(numbers.shape[2:]))


def compare_anova(run):
    for architecture in activations.NETWORKS:
        rows = {(row["layer"], row["source"]): row for row in run.table(f"anova(architecture={architecture}).table")}
        for layer, patterns, units_of_feature in patterns_of(run, architecture):
            for source, eta2 in decoding.shares(patterns).items():
                row, expected = rows[layer, source], decoding.summary(eta2, units_of_feature)
                require(row["constant"] == np.isnan(eta2).sum(), f"{architecture} {layer} has {row['constant']} constant units")
                for ours, theirs in (("eta2_mean", "mean"), ("eta2_stdev", "stdev"), ("eta2_stdev_features", "stdev_features")):
                    apart = abs(row[ours] - expected[theirs])
                    require(apart <= 1e-9, f"{ours} of {source} in {layer} of {architecture} is {row[ours]}, expected {expected[theirs]}")


def decoded(one, other):
    """The accuracy of SVC, and whether all decisions are clear and the same with a tolerance of 1e-9."""
    right, clear = [], True
    for at in range(len(one)):
        train, test, classes = decoding.parts(one, other, at)
        fit = lambda **options: SVC(kernel="precomputed", C=1, **options).fit(train @ train.T, classes)
        usual, exact = fit().predict(test @ train.T), fit(tol=1e-9)
        decisions = np.abs(exact.decision_function(test @ train.T))
        clear &= bool((usual == exact.predict(test @ train.T)).all() and decisions.min() > 1e-3 * max(1e-9, decisions.max()))
        right += list(usual == [0, 1])
    return np.mean(right), clear


def compare_accuracies(run):
    all_clear = []
    for architecture in activations.NETWORKS:
        table = run.table(f"decoding(architecture={architecture}).table")
        rows = {(row["layer"], row["decoded"], row["first"], row["second"]): row["accuracy"] for row in table}
        for layer, patterns, _ in patterns_of(run, architecture):
            colours = [f"c{column}" for column in range(len(COLOURS))]
            for variable, values, along in (("object", OBJECTS, patterns), ("colour", colours, np.moveaxis(patterns, 1, 0))):
                for a, b in combinations(range(len(values)), 2):
                    expected, clear = decoded(along[a], along[b])
                    found = rows[layer, variable, values[a], values[b]]
                    what = f"the accuracy of {values[a]} and {values[b]} in {layer} of {architecture} is {found}, expected {expected}"
                    require(not clear or found == expected, what)
                    all_clear.append(clear)
    require(np.mean(all_clear) >= CERTAIN, f"{np.mean(all_clear):.2f} of the accuracies depend on no decision near to 0")


def comparisons(program, folder):
    """Names and functions that compare; the first one runs the program."""
    runs = []

    def named(compare):
        def same():
            compare(runs[0])
            return "same"
        return same

    def run():
        runs.append(ProgramRun(program, folder))
        return "ran"

    yield "pipe run", run
    if not runs:
        return
    yield "layer books", named(compare_layers)
    yield "weights of a seed", named(compare_weights)
    yield "pictures", named(lambda run: compare_pictures(run, "pixels.matrix", SIDE, False))
    yield "large pictures", named(lambda run: compare_pictures(run, "large_pixels.matrix", LARGE, False))
    yield "cropped pictures", named(lambda run: compare_pictures(run, "cropped_pixels.matrix", SIDE, True))
    of_means = lambda model, images: of_torch(model, images, means)
    yield "units", named(lambda run: of_each(run, "units", "network", "pixels.matrix", of_torch))
    yield "feature means", named(lambda run: of_each(run, "means", "large", "large_pixels.matrix", of_means))
    yield "alias_inplace", named(compare_aliases)
    # Each of up to 53 normalisations scales the rounding errors of all before it up again.
    yield "calibrated", named(lambda run: of_each(run, "calibrated", "network", "pixels.matrix", calibrated, 1e-3))
    yield "weights of a file", named(compare_opened)
    yield "rdms", named(compare_rdms)
    yield "swap_rgb", named(compare_swapped)
    yield "anova", named(compare_anova)
    yield "accuracies", named(compare_accuracies)
