#!/usr/bin/env python3
"""What RDMs, distances in units of noise, layouts and networks cost, next to NumPy, rsatoolbox, scikit-learn and PyTorch on the same numbers.

`scripts/bench-rsa` makes the Python and the programs that this needs. Both sides may use the same processors, as many as there are threads. Promised:

    1,000 patterns of 10,000 features         correlation, Euclidean, cosine: at most 1.4 x one product of matrices of that shape in 32 bits,
                                              1.3 x in 64 bits, ours and NumPy's
                                              correlation: not slower than np.corrcoef, at least 30 x faster than rsatoolbox
                                              a true Euclidean distance of 0.001 between patterns of norm 100, to 1e-5 of itself
    crossnobis, 200 entries, 8 runs,          at least 2 x faster than rsatoolbox, with noise estimated from 800 residuals and without
    500 channels
    layout of 200 items                       at least 20 x faster than scikit-learn's smacof from 4 random starts (3,000 steps, tolerance 1e-9),
                                              not slower than from the classical start, at equal or lower stress
    AlexNet, 100 pictures, RDMs of 22 layers  at least 1.3 x faster than PyTorch in batches of 25 with np.corrcoef, 5 x than one picture at a time
    1,000 pictures, a layer of 200,704 units  resident memory at most `memory:`, the pictures (3 bytes a pixel) and 100 MB above that of 10 pictures

The sides take turns, round after round, after a round that does not count; reported are the medians of the times and of the ratios in a round.

What counts. Dissimilarities and layouts: arithmetic on numbers in memory, on both sides. The product is of two different matrices, since
NumPy computes half of the product of a matrix with itself. np.corrcoef computes in the type of its input (`dtype`), which for 32 bits is
faster than without. Crossnobis: ours is `rdm/from`, which reads matrices from files and writes RDMs; rsatoolbox has arrays in memory. Layouts:
ours starts at the classical points and at four random ones, which is the default of `rdm/mds`; smacof may use all threads for its random
starts (`n_jobs`). Networks: all of `pipe run` from an empty cache, with the start of two programs, the check and the copy of every picture,
61 million random weights, digests and written files, next to all of a Python program that does the same (rsa_peer.py: start, imports, weights,
pictures, network, np.corrcoef, one file). In the rows below, without a promise, are the stage `net/rdms` alone (start of the worker and weights
included) and PyTorch from the first picture on, with its model in memory. Memory is the largest resident set of the worker, as the manifest of
the run has it.

Both sides find the same numbers, or the program ends; of networks, whose random weights differ, it checks how many there are. Exit code 1
if a promise is not kept.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PATTERNS, FEATURES = 1000, 10_000
ENTRIES, RUNS, CHANNELS, RESIDUALS = 200, 8, 500, 800
ITEMS = 200
PICTURES, BATCH = 100, 25
# In a picture of this side AlexNet's first layer has 64 x 56 x 56 units.
MANY, FEW, SIDE, UNITS = 1000, 10, 228, 64 * 56 * 56
# Threads of libraries that wait for work end or sleep.
PAUSE = 0.3

PIPELINE = """\
pipe: 1
pipeline: networks
seed: 1
stages:
  stimuli: {{ uses: stimuli/import, in: {{ images: images }} }}
  network: {{ uses: net/random, with: {{ architecture: alexnet, side: {side} }} }}
  rdms:
    uses: net/rdms
    in: {{ stimuli: $stimuli.stimuli, network: $network.network }}
    with: {{ activations: [unit_level], layers: [{layers}], memory: {memory}, batch: {batch}, threads: {threads}, device: cpu }}
    resources: {{ cpu: {threads} }}
"""


class Ours:
    """The benchmark `rsa` of pipe-stages, which answers words with numbers."""

    def __init__(self, program, folder):
        self.folder = folder
        self.process = subprocess.Popen([program, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if not answer:
            sys.exit(f"error: `{' '.join(map(str, self.process.args))}` ended without an answer to `{' '.join(map(str, words))}`")
        return [float(number) for number in answer]

    def end(self):
        self.process.stdin.close()
        self.process.wait()


class Turns:
    """Seconds of several sides, by their names, measured in turn."""

    def __init__(self, rounds, sides):
        self.seconds = {name: [] for name in sides}
        for number in range(rounds + 1):
            for name, side in sides.items():
                time.sleep(PAUSE)
                found = side()
                if number > 0:
                    self.seconds[name].append(found)

    def median(self, name):
        return statistics.median(self.seconds[name])

    def ratio(self, of, to):
        return statistics.median(one / other for one, other in zip(self.seconds[of], self.seconds[to]))


def shown(seconds):
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"


class Table:
    def __init__(self):
        self.broken = 0
        self.row("", "pipe", "next to it", "ratio", "promise")

    def row(self, what, ours, peer, ratio, promise):
        print(f"{what:<42}{ours:>12}{peer:>34}{ratio:>9}   {promise}", flush=True)

    def judged(self, promise, holds):
        self.broken += not holds
        return promise + ("" if holds else ": NOT KEPT")

    def times_of(self, turns, what, ours, peer, most=None):
        """How many times as long ours takes."""
        ratio = turns.ratio(ours, peer)
        promise = "" if most is None else self.judged(f"at most {most:g} times as long", ratio <= most)
        self.row(what, shown(turns.median(ours)), f"{peer} {shown(turns.median(peer))}", f"{ratio:.2f}", promise)

    def times_faster(self, turns, what, ours, peer, least=None):
        """How many times as long the other takes."""
        ratio = turns.ratio(peer, ours)
        promise = "" if least is None else self.judged(f"at least {least:g} times faster", ratio >= least)
        self.row(what, shown(turns.median(ours)), f"{peer} {shown(turns.median(peer))}", f"{ratio:.2f}", promise)

    def alone(self, what, found, promise="", holds=True):
        self.row(what, found, "", "", self.judged(promise, holds))


def not_run(what):
    print(f"NOT RUN: {what}", flush=True)
    if log := os.environ.get("PIPE_TEST_NOT_RUN"):
        with open(log, "a") as file:
            file.write(f"NOT RUN: {what}\n")


def timed(work):
    """A function that does some work and returns seconds."""
    def run():
        began = time.monotonic()
        work()
        return time.monotonic() - began
    return run


def check(ours, theirs, relative, absolute, what):
    """That two programs found the same numbers."""
    import numpy as np
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape:
        sys.exit(f"error: {what} has {ours.shape} numbers, expected {theirs.shape}")
    if not (np.abs(ours - theirs) <= relative * np.abs(theirs) + absolute).all():
        sys.exit(f"error: {what} differs by {np.abs(ours - theirs).max():.3g}: the programs computed other things")


def make_patterns(folder):
    """Patterns that have something in common, in both types the same numbers; the second is the first with 1e-5 added to every feature."""
    import numpy as np
    random = np.random.default_rng(1)
    narrow = random.standard_normal((PATTERNS, FEATURES)).astype(np.float32)
    narrow += 0.3 * random.standard_normal(FEATURES).astype(np.float32) + np.float32(0.2)
    narrow[1] = narrow[0] + np.float32(1e-5)
    found = {"float32": narrow, "float64": narrow.astype(np.float64)}
    for name, patterns in found.items():
        np.save(folder / f"patterns_{name}.npy", patterns)
    return found


def expected_dissimilarities(patterns):
    """The upper triangles, computed in 64 bits; those of the first two patterns from their differences."""
    import numpy as np
    upper = np.triu_indices(len(patterns), 1)
    gram = patterns @ patterns.T
    norms = np.diag(gram)
    found = {
        "correlation": 1 - np.corrcoef(patterns)[upper],
        "cosine": (1 - gram / np.sqrt(np.outer(norms, norms)))[upper],
        "euclidean": np.sqrt(np.maximum(norms[:, None] + norms - 2 * gram, 0))[upper],
    }
    found["euclidean"][0] = np.linalg.norm(patterns[0] - patterns[1])
    return found


def dissimilarities(options, table):
    import numpy as np
    from rsatoolbox.data import Dataset
    from rsatoolbox.rdm import calc_rdm
    folder = options.folder / "dissimilarities"
    folder.mkdir(parents=True, exist_ok=True)
    of_types = make_patterns(folder)
    expected = expected_dissimilarities(of_types["float64"])
    distance = expected["euclidean"][0]
    ours = Ours(options.ours, folder)
    for name, most in (("float32", 1.4), ("float64", 1.3)):
        patterns = of_types[name]
        other, product = patterns.copy(), np.empty((PATTERNS, PATTERNS), patterns.dtype)
        data = Dataset(patterns)
        found = {}

        def rdm(word):
            def run():
                seconds = ours.ask("rdm", word, name)[0]
                found[word] = np.load(folder / "triangle.npy")
                return seconds
            return run

        turns = Turns(options.rounds, {
            **{word: rdm(word) for word in expected},
            "our product": lambda: ours.ask("product", name)[0],
            "NumPy's product": timed(lambda: np.matmul(patterns, other.T, out=product)),
            "np.corrcoef": timed(lambda: np.corrcoef(patterns, dtype=patterns.dtype)),
            "rsatoolbox correlation": timed(lambda: calc_rdm(data, "correlation")),
            "rsatoolbox euclidean": timed(lambda: calc_rdm(data, "euclidean")),
        })
        for word in expected:
            # That of the first pair is judged below.
            check(found[word][1:], expected[word][1:], 1e-5, 1e-9, f"{word} of {name}")
            for peer in ("our product", "NumPy's product"):
                table.times_of(turns, f"{word}, {name}", word, peer, most)
        table.times_of(turns, f"correlation, {name}", "correlation", "np.corrcoef", 1)
        table.times_faster(turns, f"correlation, {name}", "correlation", "rsatoolbox correlation", 30)
        table.times_faster(turns, f"euclidean, {name}", "euclidean", "rsatoolbox euclidean")
        nearest, of_product = found["euclidean"][0], product[0, 0] + product[1, 1] - 2 * product[0, 1]
        error = abs(nearest / distance - 1)
        table.row(f"a distance of {distance:.7f}, {name}", f"{nearest:.7f}", f"NumPy's product {np.sqrt(max(of_product, 0)):.7f}", "",
                  table.judged(f"off by {error:.0e} of itself, at most 1e-5", error <= 1e-5))
    ours.ask("matrices", ENTRIES)
    turns = Turns(options.rounds, {"from": lambda: ours.ask("from")[0]})
    check(np.load(folder / "out/rdms/values.npy")[0], expected["correlation"], 1e-5, 1e-9, "correlation by `rdm/from`")
    table.alone("correlation by `rdm/from`, of files", shown(turns.median("from")))
    ours.end()


def crossnobis(options, table):
    import numpy as np
    from rsatoolbox.data import Dataset
    from rsatoolbox.data.noise import prec_from_residuals
    from rsatoolbox.rdm import calc_rdm
    folder = options.folder / "crossnobis"
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(2)
    mixing = np.eye(CHANNELS) + 0.03 * random.standard_normal((CHANNELS, CHANNELS))
    noise = lambda rows: random.standard_normal((rows, CHANNELS)) @ mixing
    measured = np.tile(random.standard_normal((ENTRIES, CHANNELS)), (RUNS, 1)) + noise(RUNS * ENTRIES)
    residuals = noise(RESIDUALS)
    np.save(folder / "measured.npy", measured)
    np.save(folder / "residuals.npy", residuals)
    names = [f"e{entry:05}" for entry in range(ENTRIES)]
    data = Dataset(measured, obs_descriptors={"entry": names * RUNS, "run": np.repeat([f"r{run:02}" for run in range(RUNS)], ENTRIES)})
    ours = Ours(options.ours, folder)
    ours.ask("matrices", ENTRIES)
    for what, covariance, precision in (
        ("crossnobis, noise of residuals", "one", lambda: prec_from_residuals(residuals, method="shrinkage_diag")),
        ("crossnobis without noise", "identity", lambda: None),
    ):
        found = {}

        def peer():
            found["peer"] = calc_rdm(data, "crossnobis", descriptor="entry", noise=precision(), cv_descriptor="run").get_vectors()[0]

        turns = Turns(options.rounds, {"rdm/from": lambda: ours.ask("crossnobis", covariance)[0], "rsatoolbox": timed(peer)})
        # rsatoolbox divides by the number of channels.
        theirs = CHANNELS * found["peer"]
        check(np.load(folder / "out/rdms/values.npy")[0], theirs, 1e-6, 1e-6 * np.abs(theirs).max(), what)
        table.times_faster(turns, what, "rdm/from", "rsatoolbox", 2)
    ours.end()


def layouts(options, table):
    import warnings
    import numpy as np
    from sklearn.manifold import ClassicalMDS, smacof
    folder = options.folder / "layouts"
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(3)
    patterns = random.standard_normal((ITEMS, 8)) @ random.standard_normal((8, 100)) + random.standard_normal((ITEMS, 100))
    square = 1 - np.corrcoef(patterns)
    np.fill_diagonal(square, 0)
    np.save(folder / "dissimilarities.npy", square[np.triu_indices(ITEMS, 1)])
    ours = Ours(options.ours, folder)
    stress = {}

    def layout(name, restarts):
        def run():
            seconds, stress[name] = ours.ask("layout", ITEMS, restarts)
            return seconds
        return run

    guide = {"max_iter": 3000, "eps": 1e-9, "normalized_stress": False}

    def of_random():
        stress["4 random starts"] = smacof(square, n_init=4, n_jobs=options.threads, random_state=0, **guide)[1]

    def of_classical():
        start = ClassicalMDS(n_components=2, metric="precomputed").fit(square).embedding_
        stress["classical start"] = smacof(square, init=start, n_init=1, **guide)[1]

    with warnings.catch_warnings():
        # What changes in later versions of scikit-learn.
        warnings.simplefilter("ignore")
        turns = Turns(options.rounds, {
            "classical + 4": layout("classical + 4", 4), "classical": layout("classical", 0),
            "4 random starts": timed(of_random), "classical start": timed(of_classical),
        })
    table.times_faster(turns, "layout, 5 starts", "classical + 4", "4 random starts", 20)
    table.times_faster(turns, "layout, 5 starts", "classical + 4", "classical start", 1)
    table.times_faster(turns, "layout, the classical start", "classical", "classical start")
    for peer in ("4 random starts", "classical start"):
        holds = stress["classical + 4"] <= stress[peer] * (1 + 1e-6)
        table.row("raw stress of it, 5 starts", f"{stress['classical + 4']:.3f}", f"{peer} {stress[peer]:.3f}", "",
                  table.judged("at most that", holds))
    table.alone("raw stress of it, the classical start", f"{stress['classical']:.3f}")
    ours.end()


def write_pictures(folder, count, side, grain):
    """Different pictures of squares of so many pixels, in random colours."""
    import numpy as np
    from PIL import Image
    if folder.is_dir() and len(list(folder.iterdir())) == count:
        return
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(4)
    for number in range(count):
        colours = random.integers(0, 256, (side // grain, side // grain, 3), np.uint8)
        Image.fromarray(colours.repeat(grain, 0).repeat(grain, 1)).save(folder / f"p{number:04}.png", compress_level=1)


class PipelineRun:
    """A run of `net/rdms` on pictures, from an empty cache in a new project. No project is removed before all is measured: after that many
    files, new ones are slow for some minutes on some disks."""

    made = 0

    def __init__(self, options, pictures, **parameters):
        PipelineRun.made += 1
        self.folder = options.folder / "projects" / str(PipelineRun.made)
        (self.folder / "images").mkdir(parents=True)
        for picture in pictures:
            os.link(picture, self.folder / "images" / picture.name)
        (self.folder / "networks.yaml").write_text(PIPELINE.format(threads=options.threads, batch=BATCH, **parameters))
        self.program = options.pipe
        self.environment = {**os.environ, "PIPE_CACHE": str(self.folder / "cache"), "XDG_STATE_HOME": str(self.folder / "state")}
        # What is still to be written to disk is not charged to this run.
        os.sync()
        self.seconds = timed(lambda: self.pipe("run", "networks.yaml", "--plain"))()

    def pipe(self, *words):
        done = subprocess.run([self.program, *words], cwd=self.folder, env=self.environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"error: `pipe {' '.join(words)}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def stage(self):
        """What the manifest says of the stage `rdms`."""
        manifest = json.loads(self.pipe("status", "networks.yaml", "--json"))
        names = [stage["name"] for stage in manifest["stages"]]
        columns, rows = manifest["instances"]["columns"], manifest["instances"]["data"]
        return next(row for row in (dict(zip(columns, row)) for row in rows) if names[row["stage"]] == "rdms")

    def rdms(self):
        import numpy as np
        return np.load(self.folder / self.pipe("path", "networks.yaml", "rdms.rdms").strip() / "values.npy")


def networks(options, table):
    import importlib.util
    import numpy as np
    if not all(importlib.util.find_spec(name) for name in ("torch", "torchvision")):
        not_run("AlexNet next to PyTorch, because this Python has no torch and torchvision")
        return
    pictures = options.folder / "pictures"
    write_pictures(pictures, PICTURES, 224, 4)
    alone = {"net/rdms": [], "25 at a time": [], "one at a time": []}
    shapes = set()

    def whole_run():
        run = PipelineRun(options, sorted(pictures.iterdir()), side=224, layers="", memory=2000)
        stage = run.stage()
        alone["net/rdms"].append(stage["ended"] - stage["started"])
        shapes.add(run.rdms().shape)
        return run.seconds

    def peer(name, batch):
        def run():
            result = options.folder / "peer.npy"
            command = [sys.executable, HERE / "rsa_peer.py", pictures, str(batch), str(options.threads), result]
            began = time.monotonic()
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            seconds = time.monotonic() - began
            if done.returncode:
                sys.exit(f"error: rsa_peer.py ended with {done.returncode}")
            alone[name].append(float(done.stdout))
            shapes.add(np.load(result).shape)
            return seconds
        return run

    sides = {"pipe run": whole_run, "25 at a time": peer("25 at a time", BATCH), "one at a time": peer("one at a time", 1)}
    turns = Turns(options.rounds, sides)
    if len(shapes) != 1:
        sys.exit(f"error: the programs found {shapes} numbers")
    what = f"AlexNet, {PICTURES} pictures, whole programs"
    table.times_faster(turns, what, "pipe run", "25 at a time", 1.3)
    table.times_faster(turns, what, "pipe run", "one at a time", 5)
    # The first round does not count here either.
    turns.seconds = {name: seconds[1:] for name, seconds in alone.items()}
    for name in ("25 at a time", "one at a time"):
        table.times_faster(turns, "the stage, and PyTorch with its model ready", "net/rdms", name)


def memory(options, table):
    pictures = options.folder / "many_pictures"
    write_pictures(pictures, MANY, SIDE, 4)
    paths = sorted(pictures.iterdir())
    most = {}
    for limit in (300, 600):
        for count in (FEW, MANY):
            run = PipelineRun(options, paths[:count], side=SIDE, layers="conv1", memory=limit)
            stage = run.stage()
            most[count] = stage["peak_memory_bytes"]
            if run.rdms().shape != (2, count * (count - 1) // 2):
                sys.exit(f"error: `net/rdms` found {run.rdms().shape} numbers, expected those of two layers of {count} pictures")
        table.alone(f"{FEW} pictures, {UNITS:,} units, memory: {limit}", f"{most[FEW] / 1e6:.0f} MB")
        allowed = limit * 1e6 + MANY * SIDE * SIDE * 3 + 100e6
        table.alone(f"{MANY:,} pictures, {stage['ended'] - stage['started']:.0f} s", f"{most[MANY] / 1e6:.0f} MB",
                    f"at most {allowed / 1e6:.0f} MB more", most[MANY] - most[FEW] <= allowed)


PARTS = {"dissimilarities": dissimilarities, "crossnobis": crossnobis, "layouts": layouts, "networks": networks, "memory": memory}


def use_processors(count):
    """This process and those that it starts use so many processors; libraries ask for as many when they are first imported."""
    there = sorted(os.sched_getaffinity(0))
    if len(there) < count:
        sys.exit(f"error: {count} threads were asked for, but there are {len(there)} processors")
    os.sched_setaffinity(0, there[:count])
    for name in ("OMP", "OPENBLAS", "MKL", "RAYON"):
        os.environ[f"{name}_NUM_THREADS"] = str(count)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True, help="the benchmark `rsa` of pipe-stages")
    parser.add_argument("--pipe", required=True, help="the program `pipe`, with `pipe-torch` beside it")
    parser.add_argument("--folder", type=Path, required=True, help="where data are made: 0.5 GB")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds; one more comes before them")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; may be repeated")
    options = parser.parse_args()
    options.folder = options.folder.resolve()
    use_processors(options.threads)
    # Of a run that was stopped.
    shutil.rmtree(options.folder / "projects", ignore_errors=True)
    import numpy
    import sklearn
    from importlib.metadata import version
    print(f"{platform.processor() or platform.machine()}, {options.threads} threads, NumPy {numpy.__version__}, rsatoolbox {version('rsatoolbox')}, "
          f"scikit-learn {sklearn.__version__}, {options.rounds} rounds, load {os.getloadavg()[0]:.1f}")
    table = Table()
    for part in options.only or PARTS:
        PARTS[part](options, table)
    shutil.rmtree(options.folder / "projects", ignore_errors=True)
    print(f"load {os.getloadavg()[0]:.1f}")
    return 1 if table.broken else 0


if __name__ == "__main__":
    sys.exit(main())
