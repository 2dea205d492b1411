#!/usr/bin/env python3
"""How fast `unet/train` and `unet/predict` are next to PyTorch eager, on the same processor.

Both programs run all the time and work in turn, never together: one epoch here, one there, round after round. Reported are the
medians over rounds of the ratios of wall time and of processor time (user and system, all threads); the second one depends less
on what else the machine does. Promises, at 2 threads:

    an epoch of (by default) 20 samples, 7 channels, 128 x 256, batch 5, float32:  at most 0.88 of PyTorch's wall time
    the same with bf16, where the processor has it:                   at most 0.5
    one image at a time, 128 x 256:                                   at least 1.2 times as many

The epoch of batch 1 at 64 x 128 has no promise. Exit code 1 if a promise is not kept.
"""

import argparse
import platform
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What is done, batch, pixels, precision, the largest ratio of times that is promised.
CASES = [
    ("train", 5, 128, "f32", 0.88),
    ("train", 5, 128, "bf16", 0.5),
    ("train", 1, 64, "f32", None),
    ("predict", 1, 128, "f32", 1 / 1.2),
]


class Program:
    """A program that answers a word with wall and processor seconds."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def ask(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if len(answer) != 2:
            sys.exit(f"error: `{' '.join(map(str, self.process.args))}` ended without an answer")
        return [float(number) for number in answer]

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def has_bf16():
    return "avx512_bf16" in Path("/proc/cpuinfo").read_text()


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--ours", required=True, help="the benchmark `epoch` of pipe-torch")
    options.add_argument("--rounds", type=int, default=5, help="measured rounds; one more comes before them")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--samples", type=int, default=20, help="samples in an epoch")
    options = options.parse_args()
    import torch
    print(f"{platform.processor() or platform.machine()}, {torch.backends.cpu.get_cpu_capability()}, "
          f"{options.threads} threads, PyTorch {torch.__version__}, {options.rounds} rounds")
    broken = 0
    for word, batch, pixels, precision, promise in CASES:
        what = f"{word}, batch {batch}, {pixels} x {2 * pixels}, {precision}"
        if precision == "bf16" and not has_bf16():
            print(f"{what}: NOT MEASURED, this processor has no AVX512-BF16")
            continue
        size = [str(number) for number in (options.threads, options.samples, batch, pixels)]
        programs = [Program([options.ours, *size, precision]),
                    Program([sys.executable, ROOT / "tests/bench/train_peer.py", *size])]
        rounds = [[program.ask(word) for program in programs] for _ in range(options.rounds + 1)][1:]
        for program in programs:
            program.end()
        wall, cpu = ([[side[which] for side in row] for row in rounds] for which in (0, 1))
        ratios = [statistics.median(ours / theirs for ours, theirs in rows) for rows in (wall, cpu)]
        medians = [[statistics.median(column) for column in zip(*rows)] for rows in (wall, cpu)]
        kept = promise is None or ratios[0] <= promise
        broken += not kept
        print(f"{what}: {medians[0][0]:.2f} s, PyTorch {medians[0][1]:.2f} s, ratio {ratios[0]:.2f}; processor time "
              f"{medians[1][0]:.2f} and {medians[1][1]:.2f} s, ratio {ratios[1]:.2f}"
              + ("" if promise is None else f"; promised {promise:.2f}" + ("" if kept else ": NOT KEPT")), flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
