"""AlexNet and the RDMs of all its layers in PyTorch and NumPy, as one program from pictures to a file; the other side of `networks` in rsa.py.

    rsa_peer.py FOLDER BATCH THREADS RESULT

Pictures (PNG, all of one size, in the order of their names) go through the network BATCH at a time. A hook on every layer copies what it
gives, and `np.corrcoef` compares all units of a layer. The upper triangles are written as the array RESULT, a row a layer, the picture itself
first. Prints the seconds from the first picture to the written file; Python's start, imports and the weights, which the constructor of
torchvision makes at random, come before.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.models import alexnet

MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


def prepared(path):
    with Image.open(path) as picture:
        numbers = np.asarray(picture.convert("RGB"), np.float32) / 255
    return torch.from_numpy(((numbers - MEAN) / STD).transpose(2, 0, 1).copy())


def activations(model, pictures, batch):
    """By layer an array a batch, in the order of registration."""
    found = {"picture": []}

    def copies(name):
        return lambda module, given, output: found[name].append(output.clone().numpy())

    for name, module in model.named_modules():
        if next(module.children(), None) is None:
            found[name] = []
            module.register_forward_hook(copies(name))
    for first in range(0, len(pictures), batch):
        images = torch.stack([prepared(path) for path in pictures[first:first + batch]])
        found["picture"].append(images.numpy())
        model(images)
    return found


def main():
    folder, batch, threads, result = sys.argv[1:]
    torch.set_num_threads(int(threads))
    torch.set_grad_enabled(False)
    torch.manual_seed(1)
    model = alexnet(weights=None).eval()
    began = time.monotonic()
    pictures = sorted(Path(folder).glob("*.png"))
    upper = np.triu_indices(len(pictures), 1)
    rows = []
    for parts in activations(model, pictures, int(batch)).values():
        units = np.concatenate(parts).reshape(len(pictures), -1)
        rows.append(1 - np.corrcoef(units)[upper])
    np.save(result, np.array(rows))
    print(time.monotonic() - began)


if __name__ == "__main__":
    main()
