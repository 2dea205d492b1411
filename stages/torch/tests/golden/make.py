"""Recomputes the goldens of pipe-torch with PyTorch: `python make.py` (needs torch, numpy, safetensors).

The network, loss and training loop here are an independent rendering of the published description, in plain PyTorch.
Weights, images and targets come from integer arithmetic that Rust repeats exactly (`formula`), so only outputs are kept.
Networks and training are computed with 64 bits: with 32, units whose activation is nearly zero fall on one or the other side of a
ReLU by the processor's instruction set, and gradients differ by more than a percent between machines.
The whole training is one whose choices no processor makes otherwise: validation targets are the opposite of what is trained on, so that a
second epoch can be worse than the first, and losses that are compared lie at least a hundredth apart, where trainings drift by 1e-5.
`python make.py drift [THREADS [plain]]` trains again and prints how far each epoch is from the golden, `plain` without oneDNN; the
environment decides the rest (ATEN_CPU_CAPABILITY, MKL_ENABLE_INSTRUCTIONS).
`python make.py check MODEL` reads a `model.safetensors` written by pipe-torch and loads it by its names, strictly.
"""

import json
import math
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

HERE = pathlib.Path(__file__).parent
MASK = np.uint64(0xFFFFFFFF)


def name_hash(name):
    """FNV-1a, 32 bits."""
    value = 2166136261
    for byte in name.encode():
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return value


def formula(name, count):
    """`count` numbers in [-0.5, 0.5), the same in Rust (tests/support)."""
    x = (np.arange(count, dtype=np.uint64) * np.uint64(2654435761) + np.uint64(name_hash(name))) & MASK
    x ^= x >> np.uint64(15)
    x = (x * np.uint64(2246822519)) & MASK
    x ^= x >> np.uint64(13)
    return x.astype(np.float64) / 4294967296.0 - 0.5


def conv_relu(inputs, outputs, kernel, padding):
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, padding=padding), nn.ReLU(inplace=True))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        skip = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + skip)


def layer(inputs, outputs, blocks, stride):
    return nn.Sequential(*[Block(inputs if b == 0 else outputs, outputs, stride if b == 0 else 1) for b in range(blocks)])


class UNet(nn.Module):
    def __init__(self, n, k, depths):
        super().__init__()
        self.layer0 = nn.Sequential(nn.Conv2d(n, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True))
        self.layer1 = nn.Sequential(nn.MaxPool2d(3, 2, 1), layer(64, 64, depths[0], 1))
        self.layer2 = layer(64, 128, depths[1], 2)
        self.layer3 = layer(128, 256, depths[2], 2)
        self.layer4 = layer(256, 512, depths[3], 2)
        for index, width in enumerate([64, 64, 128, 256, 512]):
            setattr(self, f"layer{index}_1x1", conv_relu(width, width, 1, 0))
        self.conv_up3 = conv_relu(256 + 512, 512, 3, 1)
        self.conv_up2 = conv_relu(128 + 512, 256, 3, 1)
        self.conv_up1 = conv_relu(64 + 256, 256, 3, 1)
        self.conv_up0 = conv_relu(64 + 256, 128, 3, 1)
        self.conv_original_size0 = conv_relu(n, 64, 3, 1)
        self.conv_original_size1 = conv_relu(64, 64, 3, 1)
        self.conv_original_size2 = conv_relu(64 + 128, 64, 3, 1)
        self.conv_last = nn.Conv2d(64, k, 1)

    def forward(self, image):
        original = self.conv_original_size1(self.conv_original_size0(image))
        steps = [self.layer0(image)]
        for encode in [self.layer1, self.layer2, self.layer3, self.layer4]:
            steps.append(encode(steps[-1]))
        x = self.layer4_1x1(steps[4])
        for index in [3, 2, 1, 0]:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            skip = getattr(self, f"layer{index}_1x1")(steps[index])
            x = getattr(self, f"conv_up{index}")(torch.cat([x, skip], 1))
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        return self.conv_last(self.conv_original_size2(torch.cat([x, original], 1)))


DEPTHS = {"resnet18": [2, 2, 2, 2], "resnet34": [3, 4, 6, 3]}


def fill(net):
    """Weights by formula, of a size that keeps signals alive."""
    state = {}
    for name, tensor in net.state_dict().items():
        u = formula(name, tensor.numel()).reshape(tensor.shape)
        if tensor.dtype == torch.int64:
            state[name] = tensor
            continue
        if tensor.dim() == 4:
            value = u * 2 * math.sqrt(6.0 / (tensor.shape[1] * tensor.shape[2] * tensor.shape[3]))
        elif name.endswith("running_var"):
            value = 1.0 + 0.5 * u
        elif name.endswith("weight"):
            value = 1.0 + 0.2 * u
        else:
            value = 0.2 * u
        state[name] = torch.from_numpy(value.astype(np.float32).reshape(tuple(tensor.shape)))
    net.load_state_dict(state)
    return net.double()


def tensor(name, shape, scale=4.0):
    return torch.from_numpy((formula(name, math.prod(shape)) * scale).astype(np.float32).reshape(shape))


def targets(name, shape):
    return tensor(name, shape, 2.0).clamp(min=0.0)


def dice_loss(logits, gold):
    p = torch.sigmoid(logits)
    overlap = (p * gold).flatten(2).sum(2)
    size = (p * p).flatten(2).sum(2) + (gold * gold).flatten(2).sum(2)
    return (1 - (2 * overlap + 1) / (size + 1)).mean()


def bce_loss(logits, gold):
    total = 0.0
    for k in range(logits.shape[1]):
        g = gold[:, k]
        total = total + F.binary_cross_entropy_with_logits(logits[:, k], g) * (g.numel() - g.sum()) / g.numel()
    return total


def digest(x, picks=24):
    """A few numbers that pin a tensor."""
    x = x.detach().double().flatten()
    step = max(1, x.numel() // picks)
    return {"sum": x.sum().item(), "abs": x.abs().sum().item(), "step": step, "at": x[::step][:picks].tolist()}


def network(base, n, k):
    net = fill(UNet(n, k, DEPTHS[base]))
    image = tensor("image", (2, n, 32, 64)).double()
    gold = targets("gold", (2, k, 32, 64)).double()
    out = {"base_model": base, "inputs": n, "outputs": k,
           "parameters": sum(p.numel() for p in net.parameters()), "names": list(net.state_dict())}
    net.eval()
    with torch.no_grad():
        out["running"] = digest(net(image))
    net.train()
    logits = net(image)
    bce, dice = bce_loss(logits, gold), dice_loss(logits, gold)
    loss = 0.75 * bce + 0.25 * dice
    loss.backward()
    out["batch"] = digest(logits)
    out["bce"], out["dice"], out["loss"] = bce.item(), dice.item(), loss.item()
    grads = {name: digest(p.grad, 4) for name, p in net.named_parameters()}
    keep = ["layer0.0.weight", "layer1.1.0.bn1.bias", "layer2.0.downsample.0.weight", "layer4.1.bn2.weight",
            "layer4_1x1.0.bias", "conv_up3.0.weight", "conv_up0.0.bias", "conv_original_size0.0.weight",
            "conv_original_size2.0.weight", "conv_last.weight", "conv_last.bias"]
    out["gradients"] = {name: grads[name] for name in keep}
    state = net.state_dict()
    out["buffers"] = {name: digest(state[name], 4) for name in
                      ["layer0.1.running_mean", "layer0.1.running_var", "layer4.1.bn2.running_mean", "layer4.1.bn2.running_var"]}
    return out


def adam():
    """Five steps of Adam on one tensor, with gradients by formula."""
    p = nn.Parameter(tensor("adam", (7,)))
    optimiser = torch.optim.Adam([p], lr=0.01, fused=False, foreach=False)
    steps = []
    for step in range(5):
        p.grad = tensor(f"grad{step}", (7,))
        optimiser.step()
        steps.append(p.detach().double().tolist())
    return steps


def order(role, epoch, count):
    """Fixed orders in place of shuffles, repeated in Rust."""
    return [(i * 5 + epoch + (3 if role == "train" else 0)) % count for i in range(count)]


def training():
    n, k, height, width = 2, 3, 32, 64
    images = [tensor(f"person{i}", (n, height, width)).double() for i in range(4)]
    trn = [(p, targets(f"trn{p}{r}", (k, height, width)).double()) for p, r in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (1, 2)]]
    val = [(3, 1 - targets(f"val3{rater}", (k, height, width)).double()) for rater in range(3)]
    net = fill(UNet(n, k, DEPTHS["resnet18"]))
    lr, gamma, weight, epochs, batch, rounds = 1e-5, 0.9, 0.75, 2, 3, 3
    history, best_dice, best_state, best_round, counter = [], math.inf, None, None, 0
    for r in range(rounds):
        rate, w = lr * (rounds - r) / rounds, weight * (1 - r / (rounds - 1))
        optimiser = torch.optim.Adam(net.parameters(), lr=rate)
        batches = math.ceil(len(trn) / batch)
        schedule = torch.optim.lr_scheduler.StepLR(optimiser, step_size=batches, gamma=gamma)
        round_loss, round_dice, round_state = math.inf, math.inf, None
        for _ in range(epochs):
            row = {"round": r, "lr": optimiser.param_groups[0]["lr"]}
            for role, samples in [("train", trn), ("val", val)]:
                net.train(role == "train")
                sums, indices = np.zeros(3), order(role, counter, len(samples))
                for start in range(0, len(samples), batch):
                    chosen = [samples[i] for i in indices[start:start + batch]]
                    image = torch.stack([images[subject] for subject, _ in chosen])
                    gold = torch.stack([target for _, target in chosen])
                    with torch.set_grad_enabled(role == "train"):
                        logits = net(image)
                        bce, dice = bce_loss(logits, gold), dice_loss(logits, gold)
                        loss = w * bce + (1 - w) * dice
                    if role == "train":
                        optimiser.zero_grad()
                        loss.backward()
                        optimiser.step()
                        schedule.step()
                    sums += len(chosen) * np.array([bce.item(), dice.item(), loss.item()])
                row[role] = (sums / len(samples)).tolist()
            counter += 1
            row["improved"] = row["val"][2] < round_loss
            if row["improved"]:
                round_loss, round_state = row["val"][2], {key: v.clone() for key, v in net.state_dict().items()}
            round_dice = min(round_dice, row["val"][1])
            history.append(row)
        net.load_state_dict(round_state)
        if round_dice < best_dice:
            best_dice, best_state, best_round = round_dice, round_state, r
    keep = ["layer0.0.weight", "layer0.1.running_var", "conv_up2.0.weight", "conv_last.bias"]
    return {"history": history, "dice": best_dice, "round": best_round,
            "weights": {name: digest(best_state[name], 6) for name in keep}}


def apart(history):
    """The least relative distance between what is compared: the losses of a round's epochs, each with the best before it, and the
    best Dice losses of rounds."""
    rounds = [[row["val"] for row in history if row["round"] == r] for r in range(history[-1]["round"] + 1)]
    compared = [[val[2] for val in epochs] for epochs in rounds] + [[min(val[1] for val in epochs) for epochs in rounds]]
    return min(abs(values[at] / min(values[:at]) - 1) for values in compared for at in range(1, len(values)))


def drift(threads, onednn):
    """How far another training is from the golden: losses by epoch, and the weights that are kept on the scale of their mean size."""
    torch.set_num_threads(threads)
    torch.backends.mkldnn.enabled = onednn
    golden, again = json.loads((HERE / "golden.json").read_text())["training"], training()
    for one, two in zip(golden["history"], again["history"]):
        far = max(abs(a / b - 1) for side in ["train", "val"] for a, b in zip(one[side], two[side]))
        print(f"round {one['round']}: {far:.1e}" + ("" if one["improved"] == two["improved"] else ", chosen otherwise"))
    state = UNet(2, 3, DEPTHS["resnet18"]).state_dict()
    for name, one in golden["weights"].items():
        two, size = again["weights"][name], one["abs"] / state[name].numel()
        far = max(abs(a - b) for a, b in zip(one["at"], two["at"])) / size
        print(f"{name}: {far:.1e}, its sum {abs(one['sum'] - two['sum']) / one['abs']:.1e}")
    print(f"round {again['round']} is the best; what is compared is {apart(again['history']):.1e} apart")


def small_pt():
    """A state dict with the corners of the format: shared storage, strides, scalars, half precision."""
    base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    torch.save({"plain": base, "turned": base.t(), "part": base[1:, 1:3], "count": torch.tensor(7),
                "half": torch.tensor([0.5, -2.0]).half(), "double": torch.tensor([0.25], dtype=torch.float64)}, HERE / "small.pt")
    from collections import OrderedDict
    ordered = OrderedDict(weight=nn.Parameter(base), bias=torch.zeros(0))
    ordered._metadata = OrderedDict({"": dict(version=1)})
    torch.save(ordered, HERE / "ordered.pt")


def check(path):
    from safetensors.torch import load_file
    state = load_file(path)
    n, k = state["layer0.0.weight"].shape[1], state["conv_last.weight"].shape[0]
    deep = "layer1.1.2.conv1.weight" in state
    net = UNet(n, k, DEPTHS["resnet34" if deep else "resnet18"])
    net.load_state_dict(state, strict=True)
    print(f"{path}: {len(state)} tensors loaded, N = {n}, K = {k}")


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    golden = {"torch": torch.__version__.split("+")[0],
              "networks": [network("resnet18", 7, 3), network("resnet34", 11, 5)],
              "adam": adam(), "training": training()}
    if apart(golden["training"]["history"]) < 0.01:
        raise SystemExit("losses that are compared are less than a hundredth apart: other processors would choose otherwise")
    (HERE / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    small_pt()


if __name__ == "__main__":
    if sys.argv[1:2] == ["check"]:
        check(sys.argv[2])
    elif sys.argv[1:2] == ["drift"]:
        drift(int(sys.argv[2]) if len(sys.argv) > 2 else 1, sys.argv[3:] != ["plain"])
    else:
        main()
