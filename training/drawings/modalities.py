"""Modalities: from amounts of substances to the image that a microscope or camera takes.

A `Modality` is one for a group; its small variations are drawn for each image, as two images
of one experiment differ in light, focus and noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from training.drawings.fields import smooth_noise

Array = np.ndarray

HAEMATOXYLIN, EOSIN, DAB = (0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78)
"""Optical densities of the stains in red, green and blue (Ruifrok and Johnston 2001)."""


@dataclass(frozen=True)
class Modality:
    """How substances become light; see `random_modality` for the ranges."""

    name: str
    mixing: Array
    background: Array
    halo: float
    halo_size: float
    gradient: float
    direction: float
    haze: float
    blur: float
    shading: float
    poisson: float
    noise: float
    noise_size: float
    bands: float
    block: int


def random_modality(rng: np.random.Generator, *, em: float = 0.0) -> Modality:
    """Bright field in grey or colour, stains, fluorescence, phase, DIC, dark field or EM.

    With the probability `em` it is electron microscopy; otherwise any of them.
    """
    names = ("grey", "colour", "stain", "fluorescence", "phase", "dic", "dark field", "em")
    name = str(rng.choice(names, p=(0.2, 0.2, 0.14, 0.14, 0.08, 0.04, 0.03, 0.17)))
    if rng.random() < em:
        name = "em"
    mixing, background = _mixing(rng, name)

    def sometimes(share: float, low: float, high: float) -> float:
        return float(rng.uniform(low, high)) if rng.random() < share else 0.0

    return Modality(
        name,
        mixing,
        background,
        halo=rng.uniform(0.5, 2.5) if name == "phase" else sometimes(0.12, 0, 1.5),
        halo_size=rng.uniform(2, 9),
        gradient=rng.uniform(1, 4) if name == "dic" else 0.0,
        direction=rng.uniform(0, 2 * np.pi),
        haze=sometimes(0.6, 0.1, 0.7) if name == "fluorescence" else 0.0,
        blur=sometimes(0.6, 0.5, 1.8),
        shading=sometimes(0.6, 0, 0.15),
        poisson=sometimes(0.6, 0.02, 0.15) if name == "fluorescence" else 0.0,
        noise=sometimes(0.8, 0, 0.12 if name == "em" else 0.07),
        noise_size=rng.uniform(0, 0.9),
        bands=sometimes(0.06, 0.01, 0.05),
        block=int(rng.choice([0, 0, 0, 0, 0, 8])),
    )


def _mixing(rng: np.random.Generator, name: str) -> tuple[Array, Array]:
    """Light in red, green and blue per amount of each substance, and without any."""
    if name in ("grey", "em", "phase", "dic", "dark field"):
        weights = rng.dirichlet((0.6, 0.6, 0.6)) * float(rng.choice([-1, 1]))
        if name == "em":
            weights = -np.abs(weights)
        mixing = np.repeat(weights[:, None], 3, 1) * rng.uniform(0.7, 1.3)
        background = np.full(3, 0.5 - mixing.sum(0).mean() / 2)
        if name == "dark field":
            mixing, background = np.abs(mixing), np.full(3, 0.03)
        return mixing, background
    if name == "stain":
        second = EOSIN if rng.random() < 0.65 else DAB
        stains = np.array([HAEMATOXYLIN, second, rng.dirichlet((2, 2, 2))])
        stains = np.clip(stains + rng.normal(0, 0.07, stains.shape), 0, 1.2)
        return -stains * rng.uniform(0.5, 1.6, (3, 1)) * ((1,), (1,), (0.3,)), np.ones(3)
    if name == "fluorescence":
        if rng.random() < 0.5:  # one channel, shown in grey
            mixing = np.repeat(rng.dirichlet((0.5, 0.5, 0.5))[:, None], 3, 1)
        else:
            mixing = np.eye(3)[rng.permutation(3)] * rng.uniform(0.2, 1, (3, 1))
            mixing = mixing + rng.uniform(0, 0.15, (3, 3))
        return mixing, np.full(3, rng.uniform(0, 0.08))
    base = rng.uniform(0.1, 0.9, 3)
    mixing = rng.uniform(-1, 1, (3, 3))
    return mixing, base - 0.5 * mixing.sum(0)


def record(rng: np.random.Generator, modality: Modality, amounts: Array) -> Array:
    """The image of `amounts` (rows, columns, 3): uint8, the same shape."""
    return _camera(rng, modality, _optics(rng, modality, amounts))


def _spread(image: Array, sigma: float) -> Array:
    return ndimage.gaussian_filter(image, (sigma, sigma, 0), truncate=3)


def _optics(rng: np.random.Generator, modality: Modality, amounts: Array) -> Array:
    """Light where substances are, with haze, halos and gradients."""
    light = amounts @ modality.mixing.astype(np.float32)
    if modality.name == "stain":
        image = np.exp(1.6 * light)
    elif modality.name == "fluorescence":
        image = modality.background + np.clip(light, 0, None) ** rng.uniform(1.3, 1.6)
    else:
        image = modality.background + light
    image = image.astype(np.float32)
    if modality.haze:
        image = (1 - modality.haze) * image + modality.haze * _spread(image, 12)
    if modality.halo:
        image = image + modality.halo * (image - _spread(image, modality.halo_size))
    if modality.gradient:
        smooth = _spread(image, 1)
        slope = np.sin(modality.direction) * np.gradient(smooth, axis=0)
        slope += np.cos(modality.direction) * np.gradient(smooth, axis=1)
        image = 0.5 + modality.gradient * slope + 0.25 * (image - image.mean())
    return image


def _camera(rng: np.random.Generator, modality: Modality, light: Array) -> Array:
    """Focus, vignetting, noise, and eight bits."""
    size, image = len(light), light
    if modality.blur:
        image = _spread(image, modality.blur * rng.uniform(0.8, 1.2))
    if modality.shading:
        image = image * (1 + modality.shading * smooth_noise(rng, size, 60))[..., None]
    if modality.poisson:
        photons = 1 / modality.poisson**2
        image = rng.poisson(np.clip(image, 0, 2) * photons).astype(np.float32) / photons
    if modality.noise:
        channels = 3 if modality.name in ("colour", "stain") and rng.random() < 0.5 else 1
        noise = rng.standard_normal((size, size, channels)).astype(np.float32)
        if modality.noise_size > 0.3:
            noise = _spread(noise, modality.noise_size)
            noise /= noise.std()
        image = image + modality.noise * noise
    if modality.bands:
        image = image + modality.bands * rng.standard_normal((size, 1, 1))
    image = (image - 0.5) * rng.uniform(0.85, 1.15) + 0.5 + rng.uniform(-0.05, 0.05)
    if modality.block:  # as strong JPEG compression leaves it
        steps = rng.uniform(0.02, 0.06)
        image = np.round(image / steps) * steps
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
