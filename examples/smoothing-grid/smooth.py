"""The root mean square error of a moving average of a noisy sine wave."""

import math
import random
import sys

width, sd, samples, seed = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])

noise = random.Random(seed)
truth = [math.sin(2 * math.pi * i / 100) for i in range(samples)]
measured = [value + noise.gauss(0, sd) for value in truth]

squares = []
for i in range(samples):
    window = measured[max(0, i - width // 2) : i + width // 2 + 1]
    squares.append((sum(window) / len(window) - truth[i]) ** 2)
print(f"{math.sqrt(sum(squares) / samples):.4f}")
