# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "pillow"]
# ///
"""Draw the dog of the README, tests/fixtures/photos/dog.jpg: a picture without anybody's rights in it."""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 640, 480
HORIZON = 0.42
SCALE = 2  # drawn larger, for smooth edges
COAT, FAR_SIDE, PALE = (50, 34, 24), (34, 22, 16), (70, 48, 34)


class Brush:
    """Draws in the coordinates of the final picture."""

    def __init__(self, image: Image.Image):
        self.draw = ImageDraw.Draw(image)

    def polygon(self, points: list[tuple[float, float]], colour: tuple) -> None:
        self.draw.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=colour)

    def ellipse(self, box: tuple[float, float, float, float], colour: tuple | int) -> None:
        self.draw.ellipse([place * SCALE for place in box], fill=colour)

    def limb(self, points: list[tuple[float, float]], width: int, colour: tuple) -> None:
        """A bent line with round joints."""
        for (x0, y0), (x1, y1) in zip(points, points[1:]):
            self.draw.line([x0 * SCALE, y0 * SCALE, x1 * SCALE, y1 * SCALE], fill=colour, width=width * SCALE)
            self.ellipse((x1 - width / 2, y1 - width / 2, x1 + width / 2, y1 + width / 2), colour)


def draw_ground(random: np.random.Generator) -> Image.Image:
    """Sky above the horizon, textured grass below."""
    height, width = HEIGHT * SCALE, WIDTH * SCALE
    y = np.arange(height)[:, None, None] / height
    sky = np.array([150, 190, 235]) * (1 - y * 0.35 / HORIZON) + np.array([225, 235, 245]) * y * 0.35 / HORIZON
    nearness = ((y - HORIZON) / (1 - HORIZON)).clip(0, 1)
    grass = np.array([120, 160, 70]) * (1 - nearness) + np.array([60, 120, 35]) * nearness
    noise = Image.fromarray((random.normal(0, 40, (height, width)) + 128).clip(0, 255).astype(np.uint8))
    texture = np.asarray(noise.filter(ImageFilter.GaussianBlur(1.2)), float)[..., None] - 128
    ground = np.where(y < HORIZON, sky, grass + texture * np.array([1.0, 1.2, 0.6]))
    return Image.fromarray(np.broadcast_to(ground, (height, width, 3)).clip(0, 255).astype(np.uint8))


def draw_trees(brush: Brush, random: np.random.Generator) -> None:
    for _ in range(40):
        x, tall, wide = random.uniform(0, WIDTH), random.uniform(30, 70), random.uniform(30, 65)
        colour = tuple(int(value) for value in np.array([40, 80, 35]) + random.uniform(-12, 18, 3))
        brush.ellipse((x - wide, HORIZON * HEIGHT - tall, x + wide, HORIZON * HEIGHT + 7), colour)


def draw_blades(brush: Brush, random: np.random.Generator) -> None:
    for _ in range(9000):
        nearness = random.uniform(0, 1) ** 0.8
        x, y = random.uniform(0, WIDTH), HEIGHT * (HORIZON + (1 - HORIZON) * nearness)
        length, lean = 4 + 26 * nearness, random.uniform(-0.4, 0.4)
        shade = np.array([95, 150, 50]) * (1 - nearness / 4) + random.uniform(-35, 35)
        colour = tuple(int(value) for value in shade.clip(0, 255))
        brush.limb([(x, y), (x + lean * length, y - length)], 1, colour)


def draw_shadow(image: Image.Image) -> None:
    mask = Image.new("L", image.size, 0)
    Brush(mask).ellipse((190, 385, 480, 420), 120)
    image.paste((25, 50, 15), mask=mask.filter(ImageFilter.GaussianBlur(16)))


def draw_dog(brush: Brush) -> None:
    """A brown dog in full run, to the right."""
    brush.limb([(240, 300), (205, 345), (175, 385)], 17, FAR_SIDE)
    brush.limb([(400, 300), (440, 340), (480, 360)], 16, FAR_SIDE)
    brush.limb([(215, 255), (175, 225), (150, 190)], 14, COAT)
    brush.ellipse((200, 228, 320, 330), COAT)
    brush.ellipse((300, 225, 430, 325), COAT)
    brush.polygon([(250, 232), (370, 228), (380, 318), (260, 326)], COAT)
    brush.ellipse((360, 270, 425, 325), PALE)
    brush.limb([(235, 300), (225, 350), (250, 395)], 20, COAT)
    brush.limb([(395, 305), (420, 355), (450, 395)], 19, COAT)
    brush.polygon([(385, 240), (450, 190), (475, 235), (420, 295)], COAT)
    draw_head(brush)


def draw_head(brush: Brush) -> None:
    brush.ellipse((425, 165, 505, 235), COAT)
    brush.polygon([(480, 185), (545, 205), (545, 228), (480, 232)], PALE)
    brush.ellipse((525, 200, 552, 230), PALE)
    brush.ellipse((538, 200, 554, 214), (30, 22, 18))
    brush.ellipse((478, 188, 490, 200), (25, 18, 12))
    brush.ellipse((481, 190, 485, 194), (240, 240, 240))
    brush.polygon([(432, 175), (405, 200), (412, 245), (440, 225)], FAR_SIDE)
    brush.polygon([(500, 230), (530, 232), (515, 244)], (200, 90, 95))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, nargs="?", default=Path("tests/fixtures/photos/dog.jpg"))
    args = parser.parse_args()
    random = np.random.default_rng(7)
    image = draw_ground(random)
    brush = Brush(image)
    draw_trees(brush, random)
    draw_blades(brush, random)
    draw_shadow(image)
    draw_dog(brush)
    image = image.filter(ImageFilter.GaussianBlur(0.8)).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    grain = np.asarray(image, float) + random.normal(0, 5, (HEIGHT, WIDTH, 1))
    Image.fromarray(grain.clip(0, 255).astype(np.uint8)).save(args.output, quality=90)


if __name__ == "__main__":
    main()
