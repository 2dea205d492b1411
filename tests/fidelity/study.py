"""The study's own code beside ours: images, alignment, networks, losses, training, predictions, scores, statistics, split, logs, grid.

    study.py ORIGINAL OURS RECORDS

ORIGINAL is a checkout or an unpacked archive of github.com/noahbenson/visual-autolabel at the commit in `steps.py`; its
functions run as they are. OURS is what the examples `fidelity` and `fidelity-networks` wrote; records are appended to RECORDS.

What is put around the original so that it runs (none is a change of what it computes):
- `neuropythy.data` becomes a dictionary with the subject made from fsaverage5, so that no download starts;
- images are painted in this process: its default, a fork after OpenMP has begun, can hang;
- its training casts images to 32 bits; a module around the network casts them back, so that 64 bits stay exact;
- samples come in the order of a sampler; losses are read where it logs them, before they are rounded.
"""

import hashlib
import json
import sys
import tempfile
import warnings
from pathlib import Path
from types import SimpleNamespace

warnings.filterwarnings("ignore")

import matplotlib

matplotlib.use("Agg")

import neuropythy as ny
import nibabel
import numpy as np
import pandas as pd
import torch
import torchvision

import compare
import original as checkout
import steps
from records import Records

SID = "fsaverage5"
RATER = "A1"
STUDY = f"visual-autolabel {steps.COMMIT[:7]}"
VISION = f"torchvision {torchvision.__version__.split('+')[0]}"


def load(path, kind=None):
    tensors, _ = compare.read_safetensors(path)
    tensors = {name: torch.from_numpy(np.array(values)) for name, values in tensors.items()}
    return {name: t.to(kind) if kind is not None and t.is_floating_point() else t for name, t in tensors.items()}


def mean_size(tensor):
    return float(np.abs(np.asarray(tensor)).mean())


# The subject, as the original finds it.


def install_subject(ours):
    """Puts the subject made from fsaverage5 where the original looks for subjects and raters' labels."""
    hemispheres, labels = {}, {}
    for h in compare.HEMISPHERES:
        subject = compare.Subject(ours / "subject", h)
        maps = {name: np.asarray(values, dtype=float) for name, values in subject.maps.items()}
        middle = np.array([maps.pop(axis) for axis in "xyz"])
        quantities = {"x": "prf_x", "y": "prf_y", "sigma": "prf_radius", "cod": "prf_variance_explained"}
        for quantity, name in quantities.items():
            maps[name] = compare.mgz(ours / f"prf/{h}.prf_{quantity}.mgz").astype(float)
        tess = ny.geometry.Tesselation(np.asarray(subject.faces).T)
        registrations = {"fsaverage": ny.geometry.Mesh(tess, np.asarray(subject.sphere, dtype=float).T)}
        hemispheres[h] = ny.mri.Cortex(h, tess, {"white": middle, "pial": middle}, registrations).with_prop(maps)
        labels[h] = rater_labels(ours / "labels.hdf5", h)
    subject = SimpleNamespace(hemis=hemispheres, lh=hemispheres["lh"], rh=hemispheres["rh"], name=SID)
    lines = SimpleNamespace(subjects={SID: subject}, subject_labels={RATER: {SID: labels}}, exclusions=[])
    ny.data = {"hcp_lines": lines}


def rater_labels(path, h):
    import h5py

    with h5py.File(path) as file:
        return {name: file[h][name][:] for name in ("visual_area", "visual_sector")}


def dataset(inputs, outputs):
    import visual_autolabel.benson2025.config as config
    from visual_autolabel.benson2025.hcp import _core
    from visual_autolabel.benson2025.hcp._datasets import HCPDataset

    # No file is there: the original paints zeros for the tracts, as we do.
    config.dwi_filename_pattern = ("no-such-folder", "{hemisphere}.{tract_name}.mgz")
    return HCPDataset(inputs, outputs, raters=(RATER,), sids=[SID], features=_core.features, cache_path=None, multiproc=False)


def images(records, ours):
    data = dataset("full", "sect")
    (target,) = data.targets
    whole = {}
    for file, tensor, comparison in (("images", "images", "images/channels"), ("targets", "targets", "images/labels")):
        mine, about = compare.read_safetensors(ours / f"{file}_512.safetensors")
        names = about["channels"].split(",")
        whole[file] = torch.stack([data.image_cache[target, name] for name in names])
        for name, image, original in zip(names, mine[tensor], whole[file]):
            records.compare(comparison, name, image, original, STUDY)
        small, _ = compare.read_safetensors(ours / f"{file}_128.safetensors")
        records.compare("resize/study", f"{file} at 128", small[tensor], data[0][("images", "targets").index(file)], STUDY)
        for size in (64, 50):
            small, _ = compare.read_safetensors(ours / f"{file}_{size}.safetensors")
            expected = torchvision.transforms.Resize(size, antialias=True)(whole[file])
            records.compare("resize/torchvision", f"{file} at {size}", small[tensor], expected, VISION)
        if file == "images":
            # The y coordinate is nowhere exactly 0, so what is not 0 was painted.
            count = lambda stack: [int((np.asarray(stack)[1][:, half] != 0).sum()) for half in (slice(0, 512), slice(512, None))]
        else:
            count = lambda stack: [int(np.asarray(layer).sum()) for layer in stack]
        records.compare("images/painted", file, count(mine[tensor]), count(whole[file]), STUDY)


def alignment(records, ours):
    """A FreeSurfer subject's images, whose coordinates the original aligns to fsaverage, as it paints those of the NYU dataset."""
    from visual_autolabel.benson2025.nyu import NYUImageCache

    place = ours / "freesurfer"
    subjects = {sid: freesurfer_subject(place / sid) for sid in ("fsaverage", "s01")}
    ny.freesurfer_subject = subjects.__getitem__
    NYUImageCache.subjects = subjects
    painted = NYUImageCache(cache_path=None, multiproc=False)
    mine, about = compare.read_safetensors(place / "images.safetensors")
    names = about["channels"].split(",")
    for name in ("x", "y", "z", "curvature", "convexity", "thickness", "surface_area"):
        theirs = painted[{"subject": "s01"}, name]
        records.compare("alignment/" + ("coordinates" if name in "xyz" else "maps"), name, mine["images"][names.index(name)], theirs, STUDY)


def freesurfer_subject(folder):
    """Read by neuropythy. It refuses a folder without `label` and without a volume, which nothing here uses."""
    (folder / "label").mkdir(exist_ok=True)
    (folder / "mri").mkdir(exist_ok=True)
    nibabel.save(nibabel.MGHImage(np.zeros((2, 2, 2), np.float32), np.eye(4)), folder / "mri/ribbon.mgz")
    return ny.freesurfer_subject(str(folder))


# Networks.


def networks(records, ours):
    from visual_autolabel.image import UNet
    from visual_autolabel.util import bce_loss, dice_loss, loss

    for base in ("resnet18", "resnet34"):
        place = ours / "networks"
        weights, results = load(place / f"{base}.safetensors"), load(place / f"{base}.results.safetensors")
        image, gold = results["image"], results["gold"]
        net = UNet(image.shape[1], gold.shape[1], base_model=base)
        for bits, kind in (("32", torch.float32), ("64", torch.float64)):
            net.to(kind)
            net.load_state_dict({name: t.to(kind) if t.is_floating_point() else t for name, t in weights.items()}, strict=True)
            net.eval()
            with torch.no_grad():
                running = net(image.to(kind))
            net.train()
            logits = net(image.to(kind))
            for mode, found in (("running", running), ("batch", logits.detach())):
                records.compare(f"logits/{base}-{bits}", f"{mode} statistics", results[f"{mode}.{bits}"], found, STUDY, mean_size(found))
        gold = gold.double()
        theirs = loss(logits, gold, bce_weight=0.75)
        for name, value in (("bce", bce_loss(logits, gold, logits=True)), ("dice", dice_loss(logits, gold, logits=True)), ("loss", theirs)):
            records.compare("losses/values", f"{base}, {name}", results[name], [value.item()], STUDY, value.item())
        theirs.backward()
        gradients = load(place / f"{base}.gradients.safetensors")
        own = dict(net.named_parameters())
        if set(own) != set(gradients):
            raise SystemExit(f"error: {base} has other weights here than in the original: {sorted(set(own) ^ set(gradients))}")
        found = [np.asarray(gradients[name]).ravel() / float(own[name].grad.abs().max()) for name in own]
        expected = [np.asarray(own[name].grad).ravel() / float(own[name].grad.abs().max()) for name in own]
        records.compare("losses/gradients", base, np.concatenate(found), np.concatenate(expected), STUDY)


class InOrder(torch.utils.data.Sampler):
    """Samples in the order that `fidelity-networks` has, another one each epoch."""

    def __init__(self, count, start):
        self.count, self.start, self.epoch = count, start, 0

    def __iter__(self):
        start = self.epoch + self.start
        self.epoch += 1
        return iter([(index * 5 + start) % self.count for index in range(self.count)])

    def __len__(self):
        return self.count


class Cast(torch.nn.Module):
    """A network that computes in one precision whatever it is given."""

    def __init__(self, net, kind):
        super().__init__()
        self.net, self.kind, self.logits = net, kind, True

    def forward(self, image):
        return self.net(image.to(self.kind))


def watch(module, seen):
    """Keeps what the original logs of each epoch, before it is rounded."""
    log_epoch = module.log_epoch

    def watched(metrics, *args, **options):
        if isinstance(metrics, dict):
            names = ("epochno", "epochmax", "lr", "dt")
            seen.append(dict(zip(names, args), metrics=metrics, improved=options.get("endl") == "*"))
        return log_epoch(metrics, *args, **options)

    module.log_epoch = watched
    return lambda: setattr(module, "log_epoch", log_epoch)


def run_plan(plan, model, train, validation, lines=None):
    """`run_modelplan` of the original; returns its result and the epochs that it logged."""
    from visual_autolabel.train import _core as module

    seen = []
    restore = watch(module, seen)
    logger = (lambda line: lines.extend(line.split("\n"))) if lines is not None else None
    try:
        found = module.run_modelplan(
            plan, {"trn": train, "val": validation}, model, nthreads=1, nice=None, device=torch.device("cpu"), logger=logger
        )
    finally:
        restore()
    return found, seen


def training(records, ours):
    from visual_autolabel.image import UNet

    place = ours / "networks"
    samples = load(place / "training.samples.safetensors")
    subjects = [0, 0, 1, 1, 2, 2, 1, 3, 3, 3]
    for bits, kind in (("64", torch.float64), ("32", torch.float32)):
        mine = json.loads((place / f"training.{bits}.json").read_text())
        images, targets = samples["images"].to(kind), samples["targets"].to(kind)
        pairs = [(images[subject], target) for subject, target in zip(subjects, targets)]
        batch = mine["plan"][0]["batch_size"]
        loader = lambda part, start: torch.utils.data.DataLoader(part, batch_size=batch, sampler=InOrder(len(part), start))
        net = UNet(images.shape[1], targets.shape[1]).to(kind)
        net.load_state_dict(load(place / "training.start.safetensors", kind), strict=True)
        lines = []
        (best, _, dice), seen = run_plan(mine["plan"], Cast(net, kind), loader(pairs[:7], 3), loader(pairs[7:], 0), lines)
        losses = lambda epoch: [float(epoch["metrics"][side][name]) for side in ("trn", "val") for name in ("bce", "dice", "loss")]
        ratios = np.array([np.array(row["trn"] + row["val"]) / losses(epoch) for row, epoch in zip(mine["rows"], seen, strict=True)])
        ones = np.ones_like(ratios)
        if bits == "32":
            records.compare("training/32-bits", "losses", ratios, ones, STUDY)
            continue
        records.compare("training/first-epoch", "losses", ratios[0], ones[0], STUDY)
        records.compare("training/second-epoch", "losses", ratios[1], ones[1], STUDY)
        records.compare("training/all-epochs", "losses", ratios, ones, STUDY)
        kept = lambda rows, value: int(np.argmin([value(row) for row in rows])) // mine["plan"][0]["num_epochs"]
        chosen = [int(row["improved"]) for row in mine["rows"]] + [kept(mine["rows"], lambda row: row["val"][1])]
        expected = [int(epoch["improved"]) for epoch in seen] + [kept(seen, lambda epoch: float(epoch["metrics"]["val"]["dice"]))]
        records.compare("training/choices", "epochs and round", chosen, expected, STUDY)
        end = load(place / f"training.{bits}.end.safetensors")
        for name, tensor in best.net.state_dict().items():
            if tensor.is_floating_point():
                records.compare("training/weights", name, end[name], tensor, STUDY, max(mean_size(tensor), 1e-12))
        logs(records, mine, lines)
        (cell,) = pd.read_csv(place / "grid/table/table.csv").query("iterations > 0")["loss_min"]
        records.compare("grid/least", "the training's own", [cell], [float(dice)], STUDY)


def number(text):
    """Texts are compared as numbers."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def without_seconds(line):
    return line[:16] + "     " + line[21:] if " | " in line else line


def logs(records, mine, lines):
    """Our log of the training against the original's, and what its notebook reads in ours."""
    ours = [without_seconds(line) for line in mine["log"]]
    theirs = [without_seconds(line) for line in lines]
    longest = max(len(ours), len(theirs))
    padded = lambda texts: [number(text) for text in texts + [""] * (longest - len(texts))]
    if ours != theirs:
        print("\n".join(f"- {a}\n+ {b}" for a, b in zip(ours, theirs) if a != b))
    records.compare("logs/lines", "log", padded(ours), padded(theirs), STUDY)


def schedules(records, original, ours):
    class Scale(torch.nn.Module):
        logits = True

        def __init__(self):
            super().__init__()
            self.factor = torch.nn.Parameter(torch.ones(1))

        def forward(self, image):
            return image * self.factor

    pair = (torch.zeros(1, 2, 2), torch.ones(1, 2, 2))
    mine = json.loads((ours / "schedules.json").read_text())
    for name, own in mine.items():
        plan = json.loads((original / f"benson2025/training-regimes/plans/{name}.json").read_text())
        loader = lambda: torch.utils.data.DataLoader([pair] * 3, batch_size=2)
        _, seen = run_plan(plan, Scale(), loader(), loader())
        rates = np.array([epoch["lr"] for epoch in seen])
        records.compare("schedule/listed", name, np.concatenate(own["rates"]) / rates, np.ones_like(rates), STUDY)
        records.compare("schedule/by-rule", name, np.concatenate(own["rates_by_rule"]), rates, STUDY)


def predictions(records, ours):
    from visual_autolabel.image import UNet

    data = dataset("func", "area")
    for mode in ("batch", "running"):
        net = UNet(data.feature_count, data.segment_count)
        net.load_state_dict(load(ours / "networks/model/model.safetensors"), strict=True)
        if mode == "running":
            net.eval()
        (target,) = data.targets
        for h, labels in zip(compare.HEMISPHERES, data.predlabels(0, net)):
            flatmap = data.image_cache.get_flatmap(target, {"hemisphere": h})
            whole = compare.mgz(ours / f"networks/labels_{mode}/{h}.area.mgz").astype(int)
            expected = np.zeros_like(whole)
            expected[flatmap.labels] = labels
            print(f"     {h}, {mode}: {np.bincount(expected).tolist()} vertices per label")
            records.compare(f"predictions/{mode}", h, whole, expected, STUDY)


# Labels, scores, statistics, split.


def labels(records, ours):
    from visual_autolabel.plot import _core as plot
    from visual_autolabel.util import sectors_to_rings

    for h in compare.HEMISPHERES:
        given = rater_labels(ours / "sectors.hdf5", h)
        expected = sectors_to_rings(given["visual_sector"], given["visual_area"])
        records.compare("labels/sectors", h, compare.mgz(ours / f"sectors/{h}.ring.mgz"), expected, STUDY)
    bands, _ = compare.read_safetensors(ours / "bands.safetensors")
    data = {"eccentricity": bands["eccentricity.bits"].view("<f8"), "visual_area_init": bands["template"]}
    records.compare("labels/bands", "area", bands["area"], plot.calc_visual_area(data), STUDY)
    records.compare("labels/bands", "ring", bands["ring"], plot.calc_visual_ring(data), STUDY)


class Labelled:
    """A hemisphere's map as `calc_scores` takes it: properties by name."""

    def __init__(self, properties):
        self.properties = properties

    def prop(self, name):
        return self.properties[name]


def scores(records, ours):
    from visual_autolabel.benson2025.analysis._core import calc_scores

    keys = ["hemisphere", "parcellation", "method1", "method2", "tag", "label"]
    tensors, _ = compare.read_safetensors(ours / "maps.safetensors")
    for parcellation in ("area", "ring"):
        hemispheres = []
        for h in compare.HEMISPHERES:
            on_map = tensors[f"{h}.hcp.vertices"]
            read = lambda folder: compare.mgz(folder / f"{h}.{parcellation}.mgz").astype(int)[on_map]
            properties = {f"{folder.name}_visual_{parcellation}": read(folder) for folder in sorted((ours / "methods").iterdir())}
            hemispheres.append(Labelled(properties))
        theirs = calc_scores(tuple(hemispheres), parcellation, rowinit={"dataset": "HCP", "sid": SID}, pair_tags="hcp")
        mine = pd.read_csv(ours / f"scores_{parcellation}/table.csv", keep_default_na=False)
        by_key = lambda table: {tuple(map(str, row[:-1])): float(row[-1]) for row in table[keys + ["score"]].itertuples(index=False)}
        mine, theirs = by_key(mine), by_key(theirs)
        every = sorted(set(mine) | set(theirs))
        records.compare("scores/rows", parcellation, [key in mine for key in every], [key in theirs for key in every], STUDY)
        both = [key for key in every if key in mine and key in theirs]
        records.compare("scores/values", parcellation, [mine[key] for key in both], [theirs[key] for key in both], STUDY)


def statistics(records, ours):
    from statistics import NormalDist

    from visual_autolabel.plot._core import summarize_dist

    mine = json.loads((ours / "statistics.json").read_text())
    for own in mine["lists"]:
        values, count = np.array(own["values"]), f"{len(own['values'])} numbers"
        records.compare("statistics/intervals", f"{count}, deviation", own["sd"], summarize_dist(values, extent="std"), STUDY)
        for interval in own["intervals"]:
            expected = summarize_dist(values, extent="ste", bfcount=interval["comparisons"])
            records.compare("statistics/intervals", f"{count}, {interval['comparisons']} intervals", interval["bounds"], expected, STUDY)
        least, lower, middle, upper, largest = own["quantiles"]
        for name, found, extent in (("quartiles", (lower, middle, upper), "iqr"), ("range", (least, middle, largest), "all")):
            records.compare("statistics/percentiles", f"{count}, {name}", found, summarize_dist(values, middle="median", extent=extent), STUDY)
    # Two values one apart have a standard error of 1 / (2 sqrt 2): the interval shows the multiplier.
    multiplier = lambda n: (lambda low, middle, high: (high - middle) * 2**1.5)(*summarize_dist([0.0, 1.0], extent="ste", bfcount=n))
    counts = [n for n, _ in mine["multipliers"]]
    records.compare("statistics/multiplier", "multiplier", [z for _, z in mine["multipliers"]], [multiplier(n) for n in counts], STUDY)


def split(records, ours):
    from visual_autolabel.benson2025.hcp import _core

    table = pd.read_csv(ours / "split/table/table.csv", dtype=str)
    sids = np.array(sorted(table["sid"].astype(int)))
    everyone = {int(sid): None for sid in [*sids, *_core.partition.excluded_sids]}
    ny.data = {"hcp_lines": SimpleNamespace(subjects=everyone)}
    trained, held_out = _core.partition(hcp_restricted_path=str(ours / "split/families.csv"))
    print(f"     {len(trained)} train, {len(held_out)} are held out")
    trains = set(table["sid"][table["partition"] == "trn"].astype(int))
    records.compare("split/sides", "sides", [sid in trains for sid in sids], np.isin(sids, trained), STUDY)


def notebook_reader(original, place):
    """`load_cell` of the notebook; its other names are those of its other cells."""
    notebook = json.loads((original / "benson2025/analysis.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    (source,) = [cell for cell in cells if "def load_cell" in cell]
    import visual_autolabel

    names = {"Path": Path, "json": json, "np": np, "pd": pd, "va": visual_autolabel, "gridsearch_path": place}
    exec(source, names)
    return names["load_cell"]


def reader(records, load_cell, ours):
    """The original's reader on our log."""
    mine = json.loads((ours / "networks/prediction.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "opts.json").write_text(json.dumps({"model_key": "grid00000", "partition": [[1], [2]]}))
        (folder / "plan.json").write_text(json.dumps([{"lr": round["lr"], "bce_weight": round["bce_weight"]} for round in mine["plan"]]))
        (folder / "run.log").write_text("\n".join(["Iteration 0", *mine["log"], ""]))
        found = load_cell(folder)
    starred = [row["val"][1] for row in mine["rows"] if row["improved"]]
    records.compare("logs/reader", "least starred loss", [min(starred)], [found["loss_min"]], STUDY)


FACTORS = ("base_model", "lr", "gamma", "bce_weight", "batch_size", "inputs", "prediction")
LOSSES = ("loss_min", "loss_mean", "loss_median", "loss_std", "loss_max")


def grid(records, load_cell, ours):
    """Our reader and the original's on logs of all cells of the grid search."""
    archive = ours / "grid/grid-search"
    folders = sorted(archive.iterdir())
    theirs = pd.DataFrame([load_cell(folder) for folder in folders]).rename(columns={"lr_0": "lr", "bce_weight_0": "bce_weight"})
    mine = pd.read_csv(ours / "grid/original/table.csv")
    rows = lambda table: [number(repr(tuple(row))) for row in table[["cell_id", *FACTORS]].itertuples(index=False)]
    records.compare("grid/cells", "numbers and factors", rows(mine), rows(theirs), STUDY)
    has = lambda table: table["loss_min"].notna()
    records.compare("grid/found", "all rules", has(mine), has(theirs), STUDY)
    both = has(mine) & has(theirs)
    records.compare("grid/losses", "all rules", mine.loc[both, LOSSES], theirs.loc[both, LOSSES], STUDY)
    # Logs of 2022: the original's reader finds iterations if their first lines begin as it expects.
    unmarked = pd.read_csv(ours / "grid/unmarked/table.csv")
    of_2022 = [index for index, folder in enumerate(folders) if "Training: " in (folder / "run.log").read_text()]
    relabelled = []
    with tempfile.TemporaryDirectory() as cell:
        for index in of_2022:
            for name in ("opts.json", "plan.json", "run.log"):
                text = (folders[index] / name).read_text()
                (Path(cell) / name).write_text(text.replace("\nTraining: ", "\nIteration: "))
            relabelled.append(load_cell(cell))
    expected = pd.DataFrame(relabelled)
    records.compare("grid/of-2022", "marked", unmarked.loc[of_2022, LOSSES], expected[list(LOSSES)], STUDY)


def main():
    original, ours, path = map(Path, sys.argv[1:])
    checkout.check(original)
    sys.path.insert(0, str(original / "src"))
    torch.set_num_threads(1)
    records = Records()
    labels(records, ours)
    statistics(records, ours)
    scores(records, ours)
    schedules(records, original, ours)
    install_subject(ours)
    images(records, ours)
    alignment(records, ours)
    predictions(records, ours)
    networks(records, ours)
    training(records, ours)
    load_cell = notebook_reader(original, ours / "grid/grid-search")
    reader(records, load_cell, ours)
    grid(records, load_cell, ours)
    split(records, ours)
    records.append_to(path)
    about = {"kinds": json.loads((ours / "kinds.json").read_text()), "processor": torch.backends.cpu.get_cpu_capability()}
    about |= {"torch": torch.__version__.split("+")[0], "torchvision": torchvision.__version__.split("+")[0]}
    with open(path, "a") as file:
        file.write(json.dumps({"about": about}) + "\n")
    sys.exit(1 if records.failed else 0)


if __name__ == "__main__":
    main()
