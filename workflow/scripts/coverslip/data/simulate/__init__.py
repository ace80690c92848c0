"""Recipes of synthetic images: one module a recipe, loaded by name; each has code of its own."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

MODULES = {
    "nuclei": "data.simulate.nuclei",
    "brightfield": "data.simulate.brightfield",
    "phase_contrast": "data.simulate.phase_contrast",
    "histology_patches": "data.simulate.histology_patches",
}
"""Module of the function of each recipe, which has its name."""


def make(recipe: str, output: Path, images: int, size: int, seed: int) -> None:
    """Write a zip of synthetic images.

    Args:
        recipe: one of `MODULES`.
        output: the zip.
        images: their number.
        size: height and width of an image in pixels.
        seed: of the generator.
    """
    getattr(import_module(f"coverslip.{MODULES[recipe]}"), recipe)(output, images, size, seed)
