"""The other side of `stages/torch/benches/epoch.rs`: the same network, epoch and words on standard input, in PyTorch eager.

    train_peer.py THREADS SAMPLES BATCH PIXELS

The network and the losses are those that made the goldens (`stages/torch/tests/golden/make.py`).
"""

import pathlib
import resource
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "stages/torch/tests/golden"))

import make  # noqa: E402
import torch  # noqa: E402

CHANNELS, CLASSES = 7, 3


def processor():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main():
    threads, samples, batch, pixels = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # else epochs get several times as long once gradients are small
    torch.manual_seed(1)
    images = torch.rand(samples + 1, CHANNELS, pixels, 2 * pixels) * 2 - 1
    targets = (torch.rand(samples + 1, CLASSES, pixels, 2 * pixels) > 0.75).float()
    net = make.UNet(CHANNELS, CLASSES, make.DEPTHS["resnet18"])
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-4)

    def loss(index):
        logits, gold = net(images[index]), targets[index]
        bce, dice = make.bce_loss(logits, gold), make.dice_loss(logits, gold)
        return bce, dice, 0.5 * bce + 0.5 * dice

    def train():
        net.train()
        for index in torch.randperm(samples).split(batch):
            bce, dice, total = loss(index)
            optimiser.zero_grad()
            total.backward()
            optimiser.step()
            (bce.item(), dice.item(), total.item())
        net.eval()
        with torch.no_grad():
            loss(torch.tensor([samples]))[2].item()

    def predict():
        net.eval()
        with torch.no_grad():
            for index in range(4):
                net(images[index:index + 1]).sigmoid()[0, 0, 0, 0].item()

    for line in sys.stdin:
        wall, used = time.perf_counter(), processor()
        {"train": train, "predict": predict}[line.strip()]()
        print(time.perf_counter() - wall, processor() - used, flush=True)


if __name__ == "__main__":
    main()
