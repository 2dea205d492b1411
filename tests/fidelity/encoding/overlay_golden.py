"""What pycortex 1.4.0 reads in an overlay: for every region the number of its paths, and how many points of a grid lie inside one of them.

The grid has 400 x 200 points over the drawing, at (column + 0.5) / 400 of its width and (row + 0.5) / 200 of its height. What is inside is
matplotlib's answer, which `get_mask` of a region also is: the end of a path is joined to its beginning, but a part of a path that another one
follows stays open, and all to the left of it is inside (sulcus `IPS` of S1).

    pip install "numpy<3" "pycortex==1.4.0"
    python tests/fidelity/encoding/overlay_golden.py overlays_rois_noimages.svg
"""

import sys

import numpy as np
from cortex.svgoverlay import SVGOverlay


def main(path):
    overlay = SVGOverlay(path)
    width, height = overlay.svgshape
    columns, rows = np.meshgrid((np.arange(400) + 0.5) / 400 * width, (np.arange(200) + 0.5) / 200 * height)
    points = np.column_stack([columns.ravel(), rows.ravel()])
    for name, layer in overlay.layers.items():
        for region, shape in layer.shapes.items():
            if shape.paths:
                inside = np.zeros(len(points), bool)
                for spline in shape.splines:
                    inside |= spline.contains_points(points)
                print(f'("{name}", "{region}", {len(shape.paths)}, {inside.sum()}),')


main(sys.argv[1])
