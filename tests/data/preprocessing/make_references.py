#!/usr/bin/env python3
"""Writes the reference images and hashes of this folder with torchvision, timm and Pillow; README.md describes them.

    pip install torch torchvision timm "pillow<12.2" numpy
    python make_references.py            # ten seconds; writes next to this file
    python make_references.py IMAGE...   # one more line in resize.txt for each image that is not in this folder

`photos/` must hold the photos already; everything else is made here.
"""
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image, ImageOps
from timm.data.transforms_factory import transforms_imagenet_eval
from torchvision import transforms

HERE = Path(__file__).resolve().parent
MASK64 = (1 << 64) - 1

PHOTOS = ["chelsea.png", "coffee.png", "clock_motion.png", "retina.jpg", "rocket.jpg"]

# Steps of a setting -> target of Resize, target of CenterCrop.
STEPS = {
    "r32c28": (32, 28),
    "r28c32": (28, 32),
    "s24x40": ((24, 40), None),
    "c30": (None, 30),
    "r256c224": (256, 224),
    "r64c56": (64, 56),
    "s224x224": ((224, 224), None),
    "s32x36c28": ((32, 36), 28),
}
# Steps of timm's -> share, height and width of the input.
SHARES = {"p0.9s24x40": (0.9, (24, 40)), "p0.875s28x28": (0.875, (28, 28))}
SYNTHETIC_SETTINGS = [
    "r32c28", "r28c32", "s24x40", "c30", "gray-r32c28", "s32x36c28-nearest", "s24x40-nearest", "r32c28-bicubic",
    "gray-s24x40-bicubic", "p0.9s24x40", "p0.875s28x28-bicubic",
]

SIZES = [  # width, height
    (1, 1), (1, 7), (7, 1), (2, 2), (2, 3), (5, 4), (4, 5), (13, 17), (17, 13), (3, 500),
    (500, 3), (27, 29), (28, 28), (29, 27), (31, 33), (32, 32), (33, 31), (32, 45), (45, 32), (24, 40),
    (40, 24), (30, 30), (30, 61), (64, 64), (65, 63), (100, 99), (97, 101), (127, 257), (223, 225), (224, 224),
    (256, 256), (257, 255), (255, 257), (383, 256), (256, 383), (500, 375), (640, 427), (427, 640),
    (1000, 1), (1, 1000),
]


def preprocess(image, setting):
    """The image before Normalize."""
    image = image.convert("L" if setting.startswith("gray-") else "RGB")
    steps, _, interpolation = setting.removeprefix("gray-").partition("-")
    interpolation = interpolation or "bilinear"
    if steps in SHARES:
        share, size = SHARES[steps]
        chain = transforms_imagenet_eval(size, share, interpolation=interpolation).transforms[:2]
    else:
        size, crop = STEPS[steps]
        chain = [transforms.Resize(size, transforms.InterpolationMode(interpolation))] if size else []
        chain += [transforms.CenterCrop(crop)] if crop else []
    return transforms.Compose(chain)(image)


# --- resize.txt --------------------------------------------------------------------------------------------------

def hash_image(width, height):
    """Every byte is a hash of its index: no two neighbours are alike."""
    v = np.arange(height * width * 3, dtype=np.uint32) * np.uint32(2654435761) + np.uint32(width * 65536 + height)
    v ^= v >> np.uint32(15)
    v *= np.uint32(2246822519)
    v ^= v >> np.uint32(13)
    return (v >> np.uint32(24)).astype(np.uint8).reshape(height, width, 3)


def smooth_image(width, height):
    """Slopes of 3 a column and 5 a row, folded into 0..=255; the channels lie 85 apart."""
    y, x, c = np.indices((height, width, 3))
    v = (3 * x + 5 * y + 85 * c) % 511
    return np.where(v < 256, v, 510 - v).astype(np.uint8)


def fnv1a64(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = ((h ^ byte) * 0x100000001B3) & MASK64
    return h


def hash_line(size, kind, setting, image):
    data = image.tobytes()
    return f"{size[0]} {size[1]} {kind} {setting} {fnv1a64(data):016x} {data[:8].hex()}\n"


def write_hashes(others):
    lines = []
    for index, size in enumerate(SIZES):
        kind, make = [("hash", hash_image), ("smooth", smooth_image)][index % 2]
        image = Image.fromarray(make(*size))
        lines += [hash_line(size, kind, s, preprocess(image, s)) for s in SYNTHETIC_SETTINGS]
    for path in map(Path, others):
        image = Image.open(path)
        lines.append(hash_line(image.size, path.name, "r256c224", preprocess(image, "r256c224")))
    (HERE / "resize.txt").write_text("".join(lines))


# --- photos/ -----------------------------------------------------------------------------------------------------

def write_photo_references():
    for name in PHOTOS:
        for setting in ["r256c224", "r64c56"] + ["s224x224"] * (name == "chelsea.png"):
            image = preprocess(Image.open(HERE / "photos" / name), setting)
            image.save(HERE / "photos" / f"{Path(name).stem}-{setting}.png", optimize=True)


# --- exif/ -------------------------------------------------------------------------------------------------------

ORIENTATION = 0x0112
# What turns the upright image into what a file of that orientation stores: the inverse of exif_transpose.
STORE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def write_exif():
    folder = HERE / "exif"
    folder.mkdir(exist_ok=True)
    blocks = [[[220, 40, 40], [40, 200, 60]], [[50, 70, 210], [230, 220, 60]], [[20, 20, 20], [200, 200, 200]]]
    upright = Image.fromarray(np.array(blocks, np.uint8).repeat(16, 0).repeat(16, 1))
    upright.save(folder / "upright.png", optimize=True)

    def write(name, orientation, **options):
        exif = Image.Exif()
        exif.endian = "<" if orientation % 2 else ">"
        exif[ORIENTATION] = orientation
        stored = upright.transpose(STORE[orientation]) if orientation in STORE else upright
        stored.save(folder / name, exif=exif, **options)
        read = ImageOps.exif_transpose(Image.open(folder / name)).convert("RGB")
        error = np.abs(np.asarray(read).astype(int) - np.asarray(upright).astype(int)).max()
        assert error <= (1 if name.endswith("jpg") else 0), (name, error)

    for orientation in range(1, 9):
        write(f"{orientation}.jpg", orientation, quality=100, subsampling=0, optimize=True)
    write("6.png", 6, optimize=True)
    write("5.webp", 5, lossless=True)


# --- modes/ ------------------------------------------------------------------------------------------------------

WIDTH, HEIGHT = 16, 12


def png16(path, values):
    """A PNG of 16 bits a sample, gray (H, W) or RGB (H, W, 3): Pillow does not write the second."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = values.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, 2 if values.ndim == 3 else 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)  # 0: the filter "none"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9))
                     + chunk(b"IEND", b""))


def ycck(path, inks):
    """An Adobe YCCK JPEG of CMYK inks (H, W, 4): the first three as YCbCr, all stored inverted.

    Pillow stores any four channels, each inverted, as CMYK; the markers then say what they are.
    """
    ycc = np.asarray(Image.fromarray(inks[..., :3]).convert("YCbCr"))
    Image.fromarray(np.dstack([255 - ycc, inks[..., 3]]), "CMYK").save(path, quality=95)
    data = bytearray(path.read_bytes())
    adobe = data.index(b"Adobe")
    data[adobe + 11] = 2  # the transform: YCCK
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    for i in range(4):  # component ids, which Pillow sets to C, M, Y, K
        data[frame + 10 + 3 * i] = data[scan + 5 + 2 * i] = i + 1
    path.write_bytes(data)


def cmyk_to_rgb(inks):
    inks = inks.astype(int)
    return rounded_division((255 - inks[..., :3]) * (255 - inks[..., 3:]), 255).astype(np.uint8)


def rounded_division(n, d):
    """n / d to the nearest integer; d is odd, so there are no ties."""
    return (n + d // 2) // d


def compose(pixels, background):
    """RGB of RGBA pixels on a background of one value."""
    pixels = pixels.astype(int)
    alpha = pixels[..., 3:]
    return rounded_division(alpha * pixels[..., :3] + (255 - alpha) * background, 255).astype(np.uint8)


def write_modes():
    folder = HERE / "modes"
    folder.mkdir(exist_ok=True)
    lines = []

    def expect(name, pixels, tolerance=0):
        """Lines of a file that holds these gray, RGB or RGBA pixels."""
        if pixels.ndim == 2:
            pixels = np.dstack([pixels] * 3)
        alpha = pixels.shape[2] == 4
        for word, value in [("white", 255), ("black", 0)] if alpha else [("none", 0)]:
            rgb = compose(pixels, value) if alpha else pixels
            lines.append(f"{name} {word} {tolerance} {rgb.tobytes().hex()}\n")

    def lossless(name, image, pixels, **options):
        image.save(folder / name, **options)
        read = np.asarray(Image.open(folder / name).convert("RGBA")).astype(int)
        read[read[..., 3] == 0] = 0  # what lies under a transparent pixel is free
        expected = np.asarray(Image.fromarray(pixels).convert("RGBA")).astype(int)
        expected[expected[..., 3] == 0] = 0
        assert (read == expected).all(), name
        expect(name, pixels)

    def lossy(name, image, tolerance, mode, **options):
        image.save(folder / name, **options)
        expect(name, np.asarray(Image.open(folder / name).convert(mode)), tolerance)

    y, x = np.indices((HEIGHT, WIDTH))
    noise = hash_image(WIDTH, HEIGHT)
    rgb = np.dstack([x * 17, y * 23, 255 - x * 8 - y * 11]).astype(np.uint8)
    alpha = (x * 10 + y * 9 + 6).clip(0, 255).astype(np.uint8)
    alpha[:2, :3], alpha[-2:, -3:] = 0, 255
    gray = rgb[..., 2]

    wide = noise.astype(np.uint16) * np.uint16(256) + noise[::-1].astype(np.uint16)
    wide[0, :8, 0] = [0, 65535, 128, 129, 255, 32639, 32640, 32768]
    narrow = rounded_division(wide.astype(int), 257).astype(np.uint8)
    png16(folder / "gray16.png", wide[..., 0])
    expect("gray16.png", narrow[..., 0])
    png16(folder / "rgb16.png", wide)
    expect("rgb16.png", narrow)

    rgba = np.dstack([rgb, alpha])
    gray_alpha = np.dstack([gray, alpha])
    lossless("gray-alpha.png", Image.fromarray(gray_alpha, "LA"), np.dstack([gray] * 3 + [alpha]), optimize=True)
    lossless("rgba.png", Image.fromarray(rgba), rgba, optimize=True)

    colours = noise.reshape(-1, 3)[:40]
    transparencies = np.linspace(0, 255, 40).astype(np.uint8)

    def palette(count):
        index = ((x + 3 * y) % count).astype(np.uint8)
        image = Image.fromarray(index)
        image.putpalette(colours[:count].tobytes())
        return image, index

    image, index = palette(16)
    lossless("palette.png", image, colours[index], optimize=True)
    image, index = palette(40)
    lossless("palette-trns.png", image, np.dstack([colours[index], transparencies[index]]),
             transparency=transparencies.tobytes(), optimize=True)
    keyed = np.dstack([colours[index], np.where(index == 5, 0, 255)]).astype(np.uint8)
    lossless("palette.gif", image, keyed, transparency=5)
    lossless("rgb-trns.png", image.convert("RGB"), keyed, transparency=tuple(map(int, colours[5])), optimize=True)

    bits = noise[..., 0] > 127
    lossless("bit1.png", Image.fromarray(bits), np.where(bits, 255, 0).astype(np.uint8), optimize=True)

    lossless("rgb.bmp", Image.fromarray(noise), noise)
    lossless("rgb.ppm", Image.fromarray(noise), noise)
    lossless("gray.pgm", Image.fromarray(noise[..., 0]), noise[..., 0])
    lossless("rgba-lossless.webp", Image.fromarray(rgba), rgba, lossless=True)

    lossy("rgba-lossy.webp", Image.fromarray(rgba), 2, "RGBA", quality=90)
    lossy("gray.jpg", Image.fromarray(gray), 1, "L", quality=95)
    lossy("progressive.jpg", Image.fromarray(rgb), 3, "RGB", quality=95, subsampling=0, progressive=True)

    inks = np.dstack([rgb, x * 5 + y * 7]).astype(np.uint8)
    Image.fromarray(inks, "CMYK").save(folder / "cmyk.jpg", quality=95)
    ycck(folder / "ycck.jpg", inks)
    for name in ["cmyk.jpg", "ycck.jpg"]:
        read = np.asarray(Image.open(folder / name))
        assert np.abs(read.astype(int) - inks).max() <= 12, name
        expect(name, cmyk_to_rgb(read), 3)

    (HERE / "modes.txt").write_text("".join(lines))


# --- resnet50-chelsea.npy ----------------------------------------------------------------------------------------

def formula(name, shape):
    """A torchvision parameter of the weights `formula`: the top 24 bits of splitmix64(fnv1a64(name) + index)."""
    with np.errstate(over="ignore"):
        z = np.uint64(fnv1a64(name.encode())) + np.arange(np.prod(shape), dtype=np.uint64)
        z += np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    u = ((z >> np.uint64(40)).astype(np.float32) * np.float32(2.0 ** -24)).reshape(shape)
    symmetric = np.float32(2) * u - np.float32(1)
    if name.endswith("running_var"):
        return np.float32(0.5) + u
    if name.endswith("running_mean"):
        return symmetric * np.float32(0.2)
    if name.endswith("bias"):
        return symmetric * np.float32(0.1 if name.startswith("fc.") else 0.2)
    if len(shape) == 1:
        return np.float32(0.6) + np.float32(0.6) * u
    return symmetric * np.float32(np.sqrt(3.0 / np.prod(shape[1:])))


def write_scores():
    model = torchvision.models.resnet50(weights=None).eval()
    state = {name: torch.from_numpy(formula(name, tuple(value.shape)))
             for name, value in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    model.load_state_dict(state, strict=False)
    chain = transforms.Compose([
        transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ])
    values = chain(Image.open(HERE / "photos" / "chelsea.png").convert("RGB"))
    with torch.no_grad():
        scores = model.double()(values.double()[None])
    np.save(HERE / "resnet50-chelsea.npy", scores.numpy().astype(np.float32))


if __name__ == "__main__":
    write_photo_references()
    write_hashes(sys.argv[1:])
    write_exif()
    write_modes()
    write_scores()
