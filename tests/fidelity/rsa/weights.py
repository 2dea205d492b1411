"""The weights of a seed, written anew in NumPy by the rule that the program documents (`stages/src/net/start.rs`).

Words come from ChaCha with 8 rounds: its key is the seed spread by eight steps of PCG32, its stream the 64-bit FNV-1a hash of the tensor's name.
A word makes a number in the middle of one of 2^32 parts of (0, 1); one of these makes a uniform number, two of them two normal ones (Box and Muller).

    tensors    name, distribution (`uniform` with its bound or `normal` with its deviation), and the first numbers
"""

import numpy as np

TOLERANCE = 1e-7
SEED = 3
SHOWN = 6
# Blocks of 16 words that are made at a time; even in words, because normal numbers come in pairs.
BLOCKS = 1 << 12
# One tensor of each distribution that torchvision's constructors have.
TENSORS = [
    ("features.0.weight", "uniform", 1 / np.sqrt(3 * 11 * 11)),
    ("features.0.weight", "normal", np.sqrt(2 / (64 * 9))),
    ("layer1.0.conv1.weight", "normal", np.sqrt(2 / 64)),
    ("fc.weight", "uniform", 1 / np.sqrt(512)),
    ("fc.weight", "normal", 0.01),
]


def key(seed):
    state, words = seed, []
    for _ in range(8):
        state = (state * 0x5851F42D4C957F2D + 0xA17654E46FBE17F3) % 2**64
        shifted = (((state >> 18) ^ state) >> 27) % 2**32
        turn = state >> 59
        words.append(((shifted >> turn) | (shifted << (-turn % 32))) % 2**32)
    return words


def stream(name):
    found = 0xCBF29CE484222325
    for byte in name.encode():
        found = (found ^ byte) * 0x100000001B3 % 2**64
    return found


def turned(words, by):
    return (words << np.uint32(by)) | (words >> np.uint32(32 - by))


def quarter(x, a, b, c, d):
    for one, two, three, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        x[one] += x[two]
        x[three] = turned(x[three] ^ x[one], by)


def chacha(seed, number, first, count):
    """The words of `count` blocks from the block `first` on."""
    block = first + np.arange(count, dtype=np.uint64)
    low, high = (block & np.uint64(2**32 - 1)).astype(np.uint32), (block >> np.uint64(32)).astype(np.uint32)
    fixed = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *key(seed)]
    start = [np.full(count, word, np.uint32) for word in fixed] + [low, high]
    start += [np.full(count, word, np.uint32) for word in (number % 2**32, number >> 32)]
    x = [words.copy() for words in start]
    for _ in range(4):
        for place in range(4):
            quarter(x, place, 4 + place, 8 + place, 12 + place)
        for place in range(4):
            quarter(x, place, 4 + (place + 1) % 4, 8 + (place + 2) % 4, 12 + (place + 3) % 4)
    return np.stack([after + before for after, before in zip(x, start)], axis=1).ravel()


def sampled(seed, name, count, distribution, size):
    numbers = np.empty(-(-count // 16) * 16, np.float32)
    for first in range(0, len(numbers) // 16, BLOCKS):
        blocks = min(BLOCKS, len(numbers) // 16 - first)
        parts = (chacha(seed, stream(name), first, blocks) + 0.5) / 2**32
        into = numbers[16 * first:16 * (first + blocks)]
        if distribution == "uniform":
            into[:] = (2 * parts - 1) * size
        else:
            radius, angle = size * np.sqrt(-2 * np.log(parts[::2])), 2 * np.pi * parts[1::2]
            into[::2], into[1::2] = radius * np.cos(angle), radius * np.sin(angle)
    return numbers[:count]


def compute():
    shown = [[name, distribution, size, sampled(SEED, name, SHOWN, distribution, size)] for name, distribution, size in TENSORS]
    names = ("name", "distribution", "size", "numbers")
    # From a block far behind the first, where a tensor is made in parts.
    far = [float(number) for number in sampled(SEED, "classifier.1.weight", 200_003, "normal", 1.0)[-SHOWN:]]
    return {"seed": SEED, "tensors": [dict(zip(names, row)) for row in shown], "last_of_200003_normal": far}
