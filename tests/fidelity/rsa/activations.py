"""Activations of every layer of torchvision's networks with the weights of a seed, which weights.py makes without the program.

Two images of 64 x 80 pixels made by a formula go through each network: a byte is (7919 image + 104729 channel + 31 y^2 + 17 x^2 + 13 x y) % 256,
prepared as torchvision's ToTensor and Normalize do it. Layers are in the order in which torchvision registers its modules, and named by what they are
and how many of these there were, as the guide does it. Of a layer that runs several times the last run counts. A hook copies each output, since
rectifications overwrite it.

    networks    by name: number of parameters, and a row a layer: name, what PyTorch calls it, address, runs, shape of one image's output, mean,
                standard deviation, and the numbers a third and two thirds of the way through the output of all images

Numbers are compared within 1e-4 of the layer's root mean square, which is what the program has to keep as well.
"""

import torch
import torchvision

import numpy as np

from weights import sampled

TOLERANCE = 1e-4
SEED = 3
NETWORKS = ["alexnet", "vgg19", "resnet18", "resnet34", "resnet50", "googlenet"]
OPTIONS = {"googlenet": {"aux_logits": False, "init_weights": False, "transform_input": False}}
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
# What names begin with, by a part of the name of the class; the first that fits counts.
PREFIXES = {
    "Conv2d": "conv",
    "Linear": "fc",
    "MaxPool2d": "maxpool",
    "AvgPool2d": "avgpool",
    "ReLU": "relu",
    "BatchNorm2d": "batchnorm",
    "Dropout": "dropout",
    "Flatten": "flatten",
    "Identity": "identity",
}
IMAGES, HEIGHT, WIDTH = 2, 64, 80

torch.set_num_threads(1)
torch.set_grad_enabled(False)


def distribution(architecture, name, module, part):
    """What torchvision's constructor samples a tensor from: `uniform` with a bound, `normal` with a deviation, or `constant`. Of GoogLeNet it is what
    the guide has: the offset of the last layer is 0."""
    is_kernel = isinstance(module, torch.nn.Conv2d)
    if isinstance(module, torch.nn.BatchNorm2d):
        return "constant", 1.0 if part in ("weight", "running_var") else 0.0
    fan_in = module.weight[0].numel()
    default = ("uniform", 1 / np.sqrt(fan_in))
    if architecture == "alexnet":
        return default
    if architecture == "googlenet" or architecture == "vgg19" and not is_kernel:
        return ("constant", 0.0) if part == "bias" else ("normal", 0.01)
    if is_kernel:
        fan_out = module.weight[:, 0].numel()
        return ("constant", 0.0) if part == "bias" else ("normal", np.sqrt(2 / fan_out))
    return default


def state(architecture, model, seed):
    """Every tensor of a network's state, by its name."""
    made = {}
    for name, tensor in model.state_dict().items():
        owner, part = name.rsplit(".", 1)
        if part == "num_batches_tracked":
            made[name] = torch.zeros((), dtype=torch.int64)
            continue
        kind, size = distribution(architecture, name, model.get_submodule(owner), part)
        if kind == "constant":
            made[name] = torch.full(tuple(tensor.shape), size)
        else:
            made[name] = torch.from_numpy(sampled(seed, name, tensor.numel(), kind, size)).reshape(tensor.shape)
    return made


def network(architecture, seed, **options):
    # Without memory until the weights are there.
    with torch.device("meta"):
        model = getattr(torchvision.models, architecture)(weights=None, **{**OPTIONS.get(architecture, {}), **options})
    model.load_state_dict(state(architecture, model, seed), assign=True)
    return model.eval()


def book(model):
    """Layers in the order of registration: name, class, address, module."""
    counts, found = {}, []
    for address, module in model.named_modules():
        if next(module.children(), None) is not None:
            continue
        kind = type(module).__name__
        prefix = next(prefix for part, prefix in PREFIXES.items() if part in kind)
        counts[prefix] = counts.get(prefix, 0) + 1
        found.append((f"{prefix}{counts[prefix]}", kind, address, module))
    return found


def outputs(model, images, copies=True):
    """By layer the outputs of its runs, layers in the order in which they first run; without copies, what later layers have made of them."""
    found = {}
    def hook(name):
        return lambda module, given, output: found.setdefault(name, []).append(output.clone() if copies else output)
    handles = [module.register_forward_hook(hook(name)) for name, _, _, module in book(model)]
    model(images)
    for handle in handles:
        handle.remove()
    return found


def normalised(bytes_):
    """What networks take, of bytes [images, channels, height, width]."""
    by_channel = lambda numbers: torch.tensor(numbers, dtype=torch.float32).view(1, 3, 1, 1)
    return (bytes_.to(torch.float32) / 255 - by_channel(MEAN)) / by_channel(STD)


def images():
    image, channel, y, x = np.meshgrid(*(np.arange(size) for size in (IMAGES, 3, HEIGHT, WIDTH)), indexing="ij")
    return normalised(torch.from_numpy((7919 * image + 104729 * channel + 31 * y * y + 17 * x * x + 13 * x * y) % 256))


def row(name, kind, address, runs):
    numbers = runs[-1].double().flatten()
    at = [len(numbers) // 3, 2 * len(numbers) // 3]
    shape = list(runs[-1].shape[1:])
    shown = [numbers.mean(), numbers.std(correction=0), *numbers[at]]
    return [name, kind, address, len(runs), shape, *(float(f"{float(number):.7g}") for number in shown)]


def of_network(architecture):
    model = network(architecture, SEED)
    found = outputs(model, images())
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "layers": [row(name, kind, address, found[name]) for name, kind, address, _ in book(model)],
    }


def compute():
    return {"seed": SEED, "images": IMAGES, "height": HEIGHT, "width": WIDTH, "networks": {name: of_network(name) for name in NETWORKS}}


def differs(found, expected):
    """Where computed rows differ from committed ones, or nothing."""
    if {key: found[key] for key in found if key != "networks"} != {key: expected[key] for key in expected if key != "networks"}:
        return " was made with other images or another seed"
    for name, network in expected["networks"].items():
        computed = found["networks"].get(name, {"layers": []})
        if computed.get("parameters") != network["parameters"] or len(computed["layers"]) != len(network["layers"]):
            return f".{name} has another number of parameters or layers"
        for one, other in zip(computed["layers"], network["layers"]):
            size = np.hypot(*other[5:7])
            if one[:5] != other[:5] or np.abs(np.subtract(one[5:], other[5:])).max() > TOLERANCE * size:
                return f".{name} has {other}, computed was {one}"
    return ""
