"""Pictures as Pillow 13 reads, turns and resizes them.

    resized         of the picture `pixels` (rows of red, green, blue): to each size, bilinear with antialiasing
    shorter_side    the same to a shorter side as torchvision's Resize does it, whose longer side is rounded down
    crops           width, height and side; left and top of the square that torchvision's CenterCrop cuts out
    files           each byte as two digits, and the pixels after EXIF orientation and `convert("RGB")`: grey, with transparency, palettes, one bit;
                    JPEG in grey, colour and inks, with colours at full and half size
"""

import io

import numpy as np
from PIL import Image, ImageOps

from golden_files import irregular

TOLERANCE = 0
WIDTH, HEIGHT = 13, 9
SIZES = [(6, 4), (20, 14), (13, 5), (3, 9), (1, 1), (14, 9)]
SIDES = [4, 9, 12]
CROPS = [(20, 15, 10), (21, 15, 10), (23, 17, 16), (15, 20, 15)]


def picture(width, height, seed):
    bytes_ = np.floor((irregular(height, 3 * width, seed) + 0.5) * 255.99).astype(np.uint8)
    return Image.fromarray(bytes_.reshape(height, width, 3))


def inks(width, height, seed):
    """Cyan, magenta, yellow and black."""
    return Image.merge("CMYK", [*picture(width, height, seed).split(), picture(width, height, seed + 1).getchannel(0)])


def rows(image):
    return np.asarray(image).reshape(image.height, -1)


def resized(image, size):
    return {"width": size[0], "height": size[1], "pixels": rows(image.resize(size, Image.Resampling.BILINEAR))}


def shorter_side(image, side):
    short, long = sorted(image.size)
    other = int(side * long / short)
    return resized(image, (side, other) if image.width <= image.height else (other, side))


def crop(width, height, side):
    return [width, height, side, int(round((width - side) / 2.0)), int(round((height - side) / 2.0))]


def encoded(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    shown = ImageOps.exif_transpose(Image.open(io.BytesIO(file.getvalue()))).convert("RGB")
    return {"file": file.getvalue().hex(), "width": shown.width, "height": shown.height, "pixels": rows(shown)}


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def files():
    small = picture(5, 3, 42)
    alpha = Image.fromarray(np.arange(15, dtype=np.uint8).reshape(3, 5) * 17)
    with_alpha = small.copy()
    with_alpha.putalpha(alpha)
    grey_alpha = Image.merge("LA", (small.convert("L"), alpha))
    palette = small.quantize(7)
    made = {
        "grey.png": encoded(small.convert("L"), "PNG"),
        "bit.png": encoded(small.convert("1"), "PNG"),
        "grey_alpha.png": encoded(grey_alpha, "PNG"),
        "alpha.png": encoded(with_alpha, "PNG"),
        "palette.png": encoded(palette, "PNG"),
        "palette_transparent.png": encoded(palette, "PNG", transparency=2),
        "grey.jpg": encoded(picture(4, 3, 43).resize((24, 16), Image.Resampling.BILINEAR).convert("L"), "JPEG", quality=95),
        "colour.jpg": encoded(picture(4, 3, 44).resize((24, 16), Image.Resampling.BILINEAR), "JPEG", quality=95, subsampling=0),
        # Noise, and sizes that are not multiples of a block.
        "half_across.jpg": encoded(picture(19, 11, 45), "JPEG", quality=85, subsampling=1),
        "half_both.jpg": encoded(picture(21, 18, 46), "JPEG", quality=75, subsampling=2),
        "progressive.jpg": encoded(picture(17, 9, 47), "JPEG", quality=80, subsampling=2, progressive=True),
        "restarts.jpg": encoded(picture(18, 10, 48), "JPEG", quality=60, subsampling=0, restart_marker_blocks=2),
        "inks.jpg": encoded(inks(11, 7, 49), "JPEG", quality=90),
    }
    for orientation in range(1, 9):
        made[f"turned_{orientation}.png"] = encoded(small, "PNG", exif=turned(orientation))
    return made


def compute():
    image = picture(WIDTH, HEIGHT, 41)
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "pixels": rows(image),
        "resized": [resized(image, size) for size in SIZES],
        "shorter_side": [{"side": side, **shorter_side(image, side)} for side in SIDES],
        "crops": [crop(*measures) for measures in CROPS],
        "files": files(),
    }
