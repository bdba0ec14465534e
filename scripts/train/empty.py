"""Pictures that show nothing a caption could say: dark or plain frames, noise, gradients, pages of letters."""

import random
import string

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont


def draw_empty(count: int, size: int, chooser: random.Random) -> torch.Tensor:
    """Pictures as bytes, (N, S, S, 3), each of a kind drawn at random."""
    pictures = [chooser.choice((plain, noise, gradient, page))(size, chooser) for _ in range(count)]
    return torch.from_numpy(np.stack(pictures).clip(0, 255).astype(np.uint8))


def colour(chooser: random.Random) -> np.ndarray:
    """Any colour, or, half of the time, one near black, white or grey."""
    if chooser.random() < 0.5:
        return np.array([chooser.choice((0, 128, 255)) + chooser.uniform(-12, 12)] * 3)
    return np.array([chooser.uniform(0, 255) for _ in range(3)])


def grain(size: int, chooser: random.Random, coarsest: int) -> np.ndarray:
    """Normal noise (S, S, 3) of spots of 1 to `coarsest` pixels, grey or coloured."""
    generator = np.random.default_rng(chooser.getrandbits(32))
    spot, channels = chooser.randint(1, coarsest), chooser.choice((1, 3))
    small = generator.standard_normal((-(-size // spot), -(-size // spot), channels))
    return np.broadcast_to(small.repeat(spot, 0).repeat(spot, 1)[:size, :size], (size, size, 3))


def plain(size: int, chooser: random.Random) -> np.ndarray:
    """One colour and what noise a sensor adds."""
    return colour(chooser) + chooser.uniform(0, 6) * grain(size, chooser, 1)


def noise(size: int, chooser: random.Random) -> np.ndarray:
    """Noise, fine or in spots, faint or loud."""
    return colour(chooser) + chooser.uniform(15, 120) * grain(size, chooser, 8)


def gradient(size: int, chooser: random.Random) -> np.ndarray:
    """From one colour to another."""
    share = np.linspace(0, 1, size)[:, None, None]
    rows = colour(chooser) * share + colour(chooser) * (1 - share)
    across = np.broadcast_to(rows, (size, size, 3))
    return across.transpose(1, 0, 2) if chooser.random() < 0.5 else across


def page(size: int, chooser: random.Random) -> np.ndarray:
    """Lines of letters, dark on light or light on dark."""
    dark, light = chooser.randint(0, 70), chooser.randint(190, 255)
    ink, paper = chooser.choice(((dark, light), (light, dark)))
    image, height = Image.new("L", (size, size), paper), chooser.randint(8, 28)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(height)
    for top in range(chooser.randint(0, 20), size, int(height * chooser.uniform(1.1, 1.8))):
        letters = "".join(chooser.choices(string.ascii_letters + " " * 12 + string.digits, k=2 * size // height))
        draw.text((chooser.randint(2, 20), top), letters, fill=ink, font=font)
    return np.asarray(image, float)[..., None].repeat(3, 2)
