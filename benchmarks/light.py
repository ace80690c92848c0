"""What light does to confluency: `python benchmarks/light.py [IMAGES.h5] [--figure FILE.png]`.

K-means on raw color (as published) and on texture are fitted on every other image of a store (as
`ingest` writes it; without one: synthetic bright-field images). Each of the other images is
multiplied by a gradient of light, from 1 down to a fraction of it. A table lists by how many
percentage points this changes their confluency. The figure shows the same numbers, and an image in
both lights with the cell mask of each way.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

from coverslip.config.sections import Dataset, KMeans, Preprocessing, Source
from coverslip.data import simulate
from coverslip.data.image_store import ImageStore
from coverslip.data.ingest import ingest
from coverslip.imaging.field_of_view import field_of_view
from coverslip.models.kmeans import check_clusters, cluster_labels
from coverslip.reporting.figures.style import BLUE, VERMILLION
from coverslip.training import kmeans

LIGHTS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
WAYS = {
    "raw color": (KMeans(features="raw_color", clusters=[3]), "rgb", VERMILLION),
    "texture": (KMeans(clusters=[2, 4, 8]), "grey", BLUE),
}


class Way:
    """One way of K-means, fitted."""

    def __init__(self, store: ImageStore, ids: list[str], recipe: KMeans, channels: str) -> None:
        self.recipe = recipe
        self.source = kmeans.Source(
            store,
            Preprocessing(channels=channels, input_scaling="none", normalization="dtype_range"),
        )
        fits = {}
        if recipe.features == "texture":
            fits = kmeans.find_clusters(self.source, ids, recipe)
        tallies = {"train": kmeans.tally(self.source, ids, recipe, fits, 1)}
        tallies["validation"] = tallies["train"]
        _, number, self.cells = kmeans.select(tallies, recipe.clusters, lambda line: None)
        self.clusters = check_clusters(recipe, {"number": number, **fits.get(number, {})})

    def mask(self, image: np.ndarray) -> np.ndarray:
        """What of an image (uint8 HxWxC) is taken for cells, bool HxW."""
        return np.isin(cluster_labels(image, self.recipe, self.clusters, 1), self.cells)


def lit(image: np.ndarray, low: float) -> np.ndarray:
    """An image under a light that falls from 1 to `low`, from one corner to the other."""
    y, x = (np.linspace(0, 1, length) for length in image.shape[:2])
    light = 1 - (1 - low) * np.add.outer(y, x) / 2
    return np.rint(image * light[:, :, np.newaxis]).astype(np.uint8)


def synthetic(folder: Path) -> Path:
    """A store of synthetic images."""
    simulate.make("brightfield", folder / "raw.zip", 24, 256, 1)
    dataset = Dataset(title="t", source=Source(kind="path"), format="paired")
    outputs = [folder / name for name in ("images.h5", "manifest.csv", "dataset.json")]
    ingest(folder / "raw.zip", dataset, *outputs, 1)
    return outputs[0]


def draw(store: ImageStore, ways: dict[str, Way], changes: dict, id: str, output: Path) -> None:
    """Draw the table, and one image in both lights."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    parts = figure.subfigures(1, 2, width_ratios=[1, 1.35])
    axes = parts[0].subplots()
    for name, (_, _, colour) in WAYS.items():
        means = [np.mean(changes[name, low]) for low in LIGHTS]
        largest = [np.max(changes[name, low]) for low in LIGHTS]
        axes.plot(LIGHTS, means, color=colour, marker="o", label=f"{name}, mean")
        axes.plot(LIGHTS, largest, color=colour, linestyle=":", label=f"{name}, largest")
    axes.axhline(2, color="grey", linestyle="--", linewidth=1, label="2 points")
    axes.invert_xaxis()
    axes.set(xlabel="Light in the darkest corner (1 is even)", ylim=(0, None))
    axes.set(ylabel="Change of confluency (percentage points)")
    axes.legend(frameon=False, fontsize=8)
    grid = parts[1].subplots(2, 3)
    for line, low in zip(grid, (1.0, LIGHTS[-1]), strict=True):
        for at, (axes, name) in enumerate(zip(line, ("", *ways), strict=True)):
            source = ways[name].source if name else ways["texture"].source
            image = lit(source.image(id), low)
            shown = ways[name].mask(image) if name else image[:, :, 0]
            axes.imshow(shown, cmap="gray", vmin=0, vmax=1 if name else 255)
            axes.set(xticks=[], yticks=[])
            title = f"{name}: {100 * shown.mean():.1f} %" if name else f"light down to {low:g}"
            axes.set_title(title, fontsize=9, color="black" if at else "0.3")
    figure.savefig(output, dpi=120)


def main(images: Path, output: Path | None) -> None:
    """Print the table; draw the figure, if asked for."""
    with ImageStore(images) as store:
        ids = store.ids()
        ways = {
            name: Way(store, ids[::2], recipe, channels)
            for name, (recipe, channels, _) in WAYS.items()
        }
        changes: dict[tuple[str, float], list[float]] = {}
        for name, way in ways.items():
            for id in ids[1::2]:
                image = way.source.image(id)
                area = np.count_nonzero(field_of_view(image))
                even = np.count_nonzero(way.mask(image))
                for low in LIGHTS if area else ():
                    found = np.count_nonzero(way.mask(lit(image, low)))
                    changes.setdefault((name, low), []).append(100 * abs(found - even) / area)
        for low in LIGHTS:
            points = {name: changes[name, low] for name in WAYS}
            message = ", ".join(
                f"{name} {np.mean(moved):.2f} (at most {np.max(moved):.2f})"
                for name, moved in points.items()
            )
            print(
                f"light down to {low:g}: confluency of {len(ids) // 2} images changes by {message}"
            )
        if output is not None:
            draw(store, ways, changes, ids[1::2][len(ids) // 4], output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("images", nargs="?", type=Path)
    parser.add_argument("--figure", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        main(asked.images or synthetic(Path(scratch)), asked.figure)
