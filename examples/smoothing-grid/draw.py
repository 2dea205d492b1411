"""Draws the error by width of the kernel, a line for each level of noise, as SVG; writes the same numbers as CSV."""

import csv
import sys

lines = {}
with open(sys.argv[1]) as cells:
    for coordinates, path in csv.reader(cells, delimiter="\t"):
        at = dict(pair.split("=") for pair in coordinates.split(", "))
        with open(path) as file:
            lines.setdefault(at["noise"], []).append((int(at["width"]), float(file.read())))

with open(sys.argv[2], "w", newline="") as file:
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["noise", "width", "rms_error"])
    table.writerows([noise, width, error] for noise, points in sorted(lines.items()) for width, error in sorted(points))

widest = max(width for points in lines.values() for width, _ in points)
largest = max(error for points in lines.values() for _, error in points)


def place(width, error):
    return f"{50 + 320 * width / widest:.1f},{230 - 200 * error / largest:.1f}"


print('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 460 280" font-family="sans-serif" font-size="12">')
print('<path d="M50 20V230H380" fill="none" stroke="black"/>')
print('<text x="215" y="265" text-anchor="middle">width of the kernel (samples)</text>')
print('<text x="14" y="125" text-anchor="middle" transform="rotate(-90 14 125)">root mean square error</text>')
for tick in sorted({width for points in lines.values() for width, _ in points}):
    x = place(tick, 0).split(",")[0]
    print(f'<text x="{x}" y="246" text-anchor="middle">{tick}</text>')
for (noise, points), dashes in zip(sorted(lines.items()), ["none", "6 3", "2 3", "8 3 2 3"]):
    path = " ".join(place(*point) for point in sorted(points))
    print(f'<polyline points="{path}" fill="none" stroke="black" stroke-width="2" stroke-dasharray="{dashes}"/>')
    x, y = place(*max(points)).split(",")
    print(f'<text x="{float(x) + 8:.1f}" y="{float(y) + 4:.1f}">{noise}</text>')
print("</svg>")
