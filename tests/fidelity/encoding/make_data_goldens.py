"""Prints what NumPy and scikit-learn give, for the tests of imports and splits: the numbers in `legacy_random.rs`, `split/legacy.rs`,
`matrix/zscore.rs` and `matrix/pca.rs` are these.

    python -m pip install numpy==2.4.6 scikit-learn==1.9.1 && python make_data_goldens.py
"""

import numpy as np
from sklearn.decomposition import PCA


def words(seed):
    generator = np.random.RandomState(seed)._bit_generator
    sampled = [int(generator.random_raw()) for _ in range(1500)]
    print(f"words {seed}:", sampled[:3], sampled[-1])


def shuffled(seed, count):
    np.random.seed(seed)
    numbers = np.arange(count)
    np.random.shuffle(numbers)
    return numbers.tolist()


def choose(count, seed, share):
    """The held-out part of the lab's split: stimuli 0, 1, ... of which every tenth from 3 on is tested."""
    others = np.where(np.arange(count) % 10 != 3)[0]
    held_out = int(np.ceil(len(others) * share))
    np.random.seed(seed)
    np.random.shuffle(others)
    return sorted(others[len(others) - held_out:].tolist())


def numbers(rows, columns):
    """Numbers that look irregular, the same in Rust: a line of whole numbers, as float32."""
    at = np.arange(rows * columns, dtype=np.int64)
    return ((at * at * 7919 + at * 104729) % 10007).astype(np.float32).reshape(rows, columns) / np.float32(997)


def z_score(values, train, held_out):
    """The lab's `split_normalize_feats`, without its column of ones."""
    joined = np.concatenate([values[train], values[held_out]], axis=0)
    mean = np.mean(joined, axis=0, keepdims=True)
    sd = np.std(joined, axis=0, keepdims=True) + 1e-6
    scaled = values.copy()
    scaled -= mean
    scaled /= sd
    return scaled


for seed in (0, 171301, 2**32 - 1):
    words(seed)
print("shuffled 12:", shuffled(171301, 12))
long = shuffled(42102, 9000)
print("shuffled 9000:", long[:6], long[-6:])
print("choose 30, subject 1:", choose(30, 171301, 0.1))
print("choose 30, subject 2:", choose(30, 42102, 0.3))
whole = choose(10_000, 171301, 0.1)
print("choose 10000:", len(whole), whole[:5], whole[-5:], sum(i * i for i in whole))

values = numbers(200, 5)
rows = np.arange(200)
scaled = z_score(values, rows[rows % 10 < 7], rows[(rows % 10 == 7) | (rows % 10 == 8)])
print("z-scored bits, first and last row:", [[int(x) for x in row.view(np.uint32)] for row in (scaled[0], scaled[199])])
print("z-scored bits, all:", sum(int(x) for x in scaled.ravel().view(np.uint32)))

for shape in (40, 6), (12, 30):
    values = numbers(*shape).astype(np.float64)
    fitted = PCA(svd_solver="full").fit(values[:-2])
    count = 3
    scores = fitted.transform(values)[:, :count]
    print(f"pca {shape}: variance", fitted.explained_variance_[:count].tolist())
    print(f"pca {shape}: share", fitted.explained_variance_ratio_[:count].tolist())
    print(f"pca {shape}: first and last row", scores[0].tolist(), scores[-1].tolist())
