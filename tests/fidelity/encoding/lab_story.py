"""Prints what NumPy finds in the made-up study of `tests/support/lab_files.rs`, for the stories in `tests/variance.rs`: first by the rules of
the lab (the eighth of CogAI_Fall2025), then by ours.

    python -m pip install numpy==2.4.6 && python lab_story.py
"""

from itertools import combinations

import numpy as np

MASK = 2**64 - 1
IMAGES, WIDTH, LAYERS = 200, 3, range(1, 6)
VOXELS = [voxel for voxel in range(8 * 5 * 2) if voxel % 16 != 15]
NOT_SHOWN, INCOMPLETE = 17, (5, 3)


def hashed(number):
    number = (number + 0x9E3779B97F4A7C15) & MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & MASK
    return number ^ (number >> 31)


def noise(kind, row, column):
    number = (kind * 1_000_003 + row) * 1_009 + column
    return ((hashed(number) >> 11) / float(1 << 53) - 0.5) * np.sqrt(12.0)


def feature(layer, image, column):
    first, fourth = noise(1, image, column), noise(4, image, column)
    return {
        1: first,
        2: first + 0.7 * noise(2, image, column),
        3: 0.5 * first + 0.5 * fourth + noise(3, image, column),
        4: fourth,
        5: fourth + 0.7 * noise(5, image, column),
    }[layer]


def response(image, voxel):
    of_first, of_fourth = (0.6, 0.2) if voxel // 10 < 4 else (0.2, 0.6)
    total = 0.0
    for column in range(WIDTH):
        total += of_first * noise(6, voxel, column) * noise(1, image, column)
        total += of_fourth * noise(7, voxel, column) * noise(4, image, column)
    return total + 0.5 * noise(8, image, voxel)


FEATURES = {
    layer: np.array([[3 * feature(layer, i, c) + layer for c in range(WIDTH)] for i in range(IMAGES)], dtype=np.float32)
    for layer in LAYERS
}
RESPONSES = np.array([[response(i, voxel) for voxel in VOXELS] for i in range(IMAGES)], dtype=np.float32)
RESPONSES[NOT_SHOWN] = np.nan
RESPONSES[INCOMPLETE[1], INCOMPLETE[0]] = np.nan

SHOWN = ~np.isnan(RESPONSES[:, 0])
KEPT = [at for at in range(len(VOXELS)) if at != INCOMPLETE[0]]
X = np.array(VOXELS)[KEPT] // 10
Y = RESPONSES[SHOWN][:, KEPT].astype(np.float64)


def split():
    """Masks of the images that train, choose and are tested, as NumPy's legacy generator shuffles them for subject 1."""
    tested = np.arange(IMAGES) % 4 == 1
    others = np.where(~tested)[0]
    count = len(others) - int(np.ceil(0.1 * len(others)))
    np.random.seed(171301)
    np.random.shuffle(others)
    masks = [np.isin(np.arange(IMAGES), part) for part in (others[:count], others[count:])]
    return [mask[SHOWN] for mask in (*masks, tested)]


TRAIN, CHOOSE, TEST = split()


def r2(predicted):
    observed = Y[TEST]
    return 1 - ((predicted - observed) ** 2).sum(0) / ((observed - observed.mean(0)) ** 2).sum(0)


def solve(x, y, penalties):
    return np.stack([np.linalg.solve(x.T @ x + float(p) * np.eye(x.shape[1]), x.T @ y) for p in penalties])


def chosen(weights, x, y):
    loss = ((np.einsum("rf,pfv->prv", x, weights) - y) ** 2).sum(1)
    return loss.argmin(0)


def by_the_lab(layers):
    """z-scored in 32 bits with 1e-6 added, a column of ones that is penalised, three negative penalties, no refit."""
    f = np.concatenate([FEATURES[layer] for layer in layers], axis=1)[SHOWN]
    seen = np.concatenate([f[TRAIN], f[CHOOSE]])
    z = (f - seen.mean(0, keepdims=True)) / (seen.std(0, keepdims=True) + 1e-6)
    z = np.concatenate([z, np.ones((len(z), 1), dtype=z.dtype)], axis=1).astype(np.float64)
    penalties = np.logspace(np.log(0.0001), np.log(10**10 + 0.01), 20, dtype=np.float32, base=np.e) - 0.01
    weights = solve(z[TRAIN], Y[TRAIN], penalties)
    best = chosen(weights, z[CHOOSE], Y[CHOOSE])
    return r2(z[TEST] @ weights[best, :, np.arange(Y.shape[1])].T)


def by_us(layers):
    """z-scored in 64 bits and stored in 32, centred on what is fitted, 20 penalties from 0.1 to 1e8, refit with the chosen one."""
    f = np.concatenate([FEATURES[layer] for layer in layers], axis=1)[SHOWN].astype(np.float64)
    seen = TRAIN | CHOOSE
    z = ((f - f[seen].mean(0)) / f[seen].std(0)).astype(np.float32).astype(np.float64)
    penalties = np.exp(np.log(0.1) + np.arange(20) * np.log(1e9) / 19)

    def fitted(rows):
        x, y = z[rows].mean(0), Y[rows].mean(0)
        return solve(z[rows] - x, Y[rows] - y, penalties), x, y

    weights, x, y = fitted(TRAIN)
    best = chosen(weights, z[CHOOSE] - x, Y[CHOOSE] - y)
    weights, x, y = fitted(seen)
    return r2((z[TEST] - x) @ weights[best, :, np.arange(Y.shape[1])].T + y)


def spread(values):
    return float(values.min()), float(np.median(values)), float(values.max())


for rules in (by_the_lab, by_us):
    print(rules.__name__, f"{TRAIN.sum()} + {CHOOSE.sum()} + {TEST.sum()} images, {len(KEPT)} voxels")
    single = {layer: rules([layer]) for layer in LAYERS}
    for layer, score in single.items():
        print(f"Conv{layer}: in V1v", float(np.median(score[X < 2])), "everywhere", spread(score))
    best = np.argmax(np.stack(list(single.values())), axis=0)
    print("voxels by best layer:", [int((best == at).sum()) for at in range(5)])
    shared = {}
    for first, second in combinations(LAYERS, 2):
        both = rules([first, second])
        parts = both - single[second], both - single[first], single[first] + single[second] - both
        shared[first, second] = float(parts[2].mean())
        if (first, second) == (1, 4):
            print("Conv1 and Conv4, unique, unique, shared, sum:", *(spread(part) for part in (*parts, both)), sep="\n  ")
    print("pairs by shared variance:", sorted(shared.items(), key=lambda pair: -pair[1]))
