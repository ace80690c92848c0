"""The configuration: one pydantic model a section.

The JSON schema in `workflow/schemas/` and the parameter table in `config/README.md` are generated
from these classes (`make schema`); a test fails when they drift. The text below each field is its
description in both. Snakemake validates a config against the schema at parse time, fills in the
defaults (`coverslip.configuration.settings`) and hands each rule only the sections that change its
result.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from coverslip.configuration.config_attribution import Attribution
from coverslip.configuration.config_base import Section
from coverslip.configuration.config_measure import Measure
from coverslip.configuration.config_search import Search
from coverslip.configuration.config_training import Training
from coverslip.configuration.settings_tasks import implied_study


class Limits(Section):
    """What an archive may hold; above it, it is refused as hostile or mistaken, by name."""

    unpacked_gb: float = Field(default=500.0, gt=0)
    """Largest size of all members of an archive together, unpacked, in 10^9 bytes."""
    ratio: float = Field(default=100.0, ge=1)
    """Largest ratio of that size to the size of the archive; up to 100 MB it is not asked."""
    file_mb: float = Field(default=2000.0, gt=0)
    """Largest size of one file that is read into memory, unpacked, in 10^6 bytes."""
    megapixels: float = Field(default=200.0, gt=0)
    """Largest number of pixels of a picture, in millions."""


class Source(Section):
    """Where a dataset's raw archive comes from."""

    kind: Literal["synthetic", "path", "kaggle"]
    """`synthetic`: made by the workflow; `path`: an archive or folder; `kaggle`: downloaded to
    `resources/raw/<dataset>.zip`, which datasets of one archive share by the first one's name."""
    path: str | None = None
    """For `path`: a zip archive or a folder, absolute or relative to the working directory."""
    competition: str | None = None
    """For `kaggle`: name of the competition, as in its address."""
    dataset: str | None = None
    """For `kaggle`: `owner/name` of the dataset, as in its address."""
    file: str | None = None
    """For `kaggle`: one file of it; without it, the whole archive."""
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Expected SHA-256 of the archive; where it is absent the digest found is only recorded."""
    retries: int = Field(default=5, ge=0)
    """For `kaggle`: how often a download that gets no further is tried again."""
    recipe: Literal["nuclei", "brightfield", "phase_contrast", "histology_patches"] = "nuclei"
    """For `synthetic`: what is drawn. `nuclei`: fluorescent nuclei with masks (layout `dsb2018`);
    `brightfield`: unstained cells that cover more or less of a dish (layout `paired`);
    `phase_contrast`: nine lines of cells (layout `livecell`); `histology_patches`: four kinds of
    nuclei, cut from slides (layout `labelled_csv`)."""
    pictures: int = Field(default=96, ge=4)
    """For `synthetic`: number of pictures."""
    size: int = Field(default=256, ge=32)
    """For `synthetic`: height and width of a picture in pixels."""
    seed: int = Field(default=1, ge=0)
    """For `synthetic`: seed of the generator."""
    limits: Limits = Limits()
    """What the archive may hold."""


class Dataset(Section):
    """Pictures with their labels."""

    title: str
    """Name in the report."""
    licence: str = "not stated"
    """Licence of the data; it is copied into every model trained on them."""
    citation: str = ""
    """How to cite the data."""
    source: Source
    """Where the raw archive comes from."""
    layout: Literal[
        "dsb2018", "paired", "livecell_coco", "livecell", "labelled_csv", "class_folders"
    ]
    """How the archive becomes records. `dsb2018`: `<id>/images/*.png` with one mask a nucleus in
    `<id>/masks/`; `paired`: a folder of pictures and a folder of masks, matched by name;
    `livecell_coco`: pictures with polygons in COCO json files; with classes instead of masks:
    `livecell`: the cell lines of LIVECell; `labelled_csv`: pictures with a csv of their labels;
    `class_folders`: a folder a class."""
    images: str = "inputs"
    """For `paired`: name of the folder of pictures, at any depth."""
    masks: str = "masks"
    """For `paired`: name of the folder of masks, at any depth."""
    annotations: str = "livecell_coco_*.json"
    """For `livecell_coco`: pattern of the names of the json files, at any depth."""
    labels: str = "train.csv"
    """For `labelled_csv`: name of the csv with the labels, at any depth."""
    label_columns: tuple[str, str] = ("Filename", "Label")
    """For `labelled_csv`: its columns with the picture's file name and its label."""
    class_names: dict[str, str] = {}
    """Names of classes for reading, by their labels; a class without one is called by its label."""
    mask_threshold: int = Field(default=0, ge=0)
    """Mask values above it are foreground (127 for masks with soft edges)."""
    groups: Literal["picture", "pattern", "layout", "acquisition", "overlap"] = "picture"
    """What must not cross a split. `picture`: each picture on its own; `pattern`: taken from the
    picture's id; `layout`: what the layout knows (line and well of LIVECell); `acquisition`:
    derived from size, modality and look; `overlap`: pictures with a common area, pixel by pixel.
    Duplicates and pictures that were cut side by side from one field share a group in any case."""
    group_pattern: str | None = None
    """For `pattern`: regular expression with a named group `group`, searched in the id."""
    near_duplicate_distance: int = Field(default=6, ge=0, le=64)
    """Two pictures of one size whose 64-bit perceptual hashes differ in at most this many bits, and
    whose thumbnails correlate, are near duplicates."""


def bare_dataset(
    name: str, section: dict[str, Any], limits: dict[str, Any] | None = None
) -> Dataset:
    """A dataset from the part of its section that changes its pictures (no words, no source)."""
    section = dict(section)
    bounds = Limits(**(limits or {}))
    source = Source(kind="path", path=None, sha256=section.pop("sha256"), limits=bounds)
    return Dataset(title=name, source=source, **section)


class Split(Section):
    """Which pictures are for training, validation and test."""

    method: Literal["random", "grouped", "listed", "folder", "file"] = "grouped"
    """`random`: pictures at random; `grouped`: whole groups; `listed`: in the order of the archive,
    train, validation, test; `folder`: the archive's own folder of test pictures, validation in
    whole groups; `file`: from a table."""
    test_folder: str | None = None
    """For `folder`: name of the folder of test pictures, at any depth."""
    folds: int = Field(default=1, ge=1)
    """1: one split by the shares below; 2 or more: k-fold, each fold is the test set once."""
    test: float = Field(default=0.2, ge=0, lt=1)
    """Share of the pictures for test, with one fold."""
    validation: float = Field(default=0.2, gt=0, lt=1)
    """Share of the pictures that are not for test which go to validation."""
    stratify: Literal["none", "modality", "class"] = "none"
    """Keep the shares of this property alike in all subsets."""
    seed: int = Field(default=1, ge=0)
    """Seed of the draw."""
    file: str | None = None
    """For `file`: a csv with the columns id, fold, subset."""


class Preprocessing(Section):
    """From a picture to what the network sees; stored in the model folder."""

    channels: Literal["grey", "rgb"] = "rgb"
    """Channels of the network's input."""
    intensity: Literal["range", "percentile"] = "range"
    """`range`: the range of the data type becomes 0..255; `percentile`: the 1st and 99.8th
    percentile of each picture and channel do."""
    polarity: Literal["as-is", "dark-background"] = "as-is"
    """`dark-background`: pictures with a bright background are inverted."""
    transform: Literal["linear", "sqrt"] = "linear"
    """`sqrt`: square root of the brightness, after polarity: dim objects come out beside bright
    ones, and shot noise is alike at all levels."""
    clahe_clip: float | None = Field(default=None, gt=0)
    """Clip limit of CLAHE on the L channel of CIELAB (8x8 tiles); none: no CLAHE."""
    scaling: Literal["none", "unit", "standard"] = "unit"
    """`none`: 0..255; `unit`: 0..1; `standard`: one mean and standard deviation a channel,
    fitted on the training pictures."""
    resize: tuple[int, int] | None = None
    """Resize whole pictures to height and width in pixels; none: patches at native size."""
    mask_resize: Literal["area", "nearest", "bilinear-ceil"] = "area"
    """How masks are resized. `area`: area average with a threshold of 0.5 (ties go to the
    nearest pixel); `bilinear-ceil`: bilinear, rounded up, which grows objects; for
    `protocol: as-published` only."""
    patch: int = Field(default=256, ge=16)
    """Height and width of a patch in pixels."""
    overlap: float = Field(default=0.0, ge=0, lt=1)
    """Share of a patch that its neighbour covers too."""
    minimum_foreground: float = Field(default=0.0, ge=0, le=1)
    """Training patches with a smaller share of foreground are left out."""
    shards: int = Field(default=1, ge=1)
    """Number of jobs and files that patches are cut into."""


class Network(Section):
    """The network."""

    architecture: Literal[
        "unet",
        "unet_confluency",
        "mobilenetv2_unet",
        "efficientnet_lite0_unet",
        "cnn",
        "livecell_cnn",
        "livecell_cnn_bn",
        "nuclei_cnn",
        "resnet18",
    ] = "unet"
    """`unet`: configurable U-Net; `unet_confluency`: the U-Net of study 5 (1,940,817 parameters
    with one channel); `mobilenetv2_unet`: MobileNetV2 encoder of studies 2 and 4;
    `efficientnet_lite0_unet`: EfficientNet-Lite0 encoder, decoder of `unet`. For classes: `cnn`:
    configurable, for pictures of any size; `livecell_cnn`, `livecell_cnn_bn`: of study 1 (5,007,593
    and 9,571,305 parameters); `nuclei_cnn` (20,587,108) and `resnet18`: of study 3."""
    filters: int = Field(default=16, ge=1)
    """For `unet` and `cnn`: filters of the first level, doubled at each level; for
    `efficientnet_lite0_unet`: those of the decoder, at half the resolution."""
    depth: int = Field(default=4, ge=1, le=7)
    """For `unet` and `cnn`: number of poolings."""
    stem: Literal[1, 2] = 1
    """For `unet`: 2: all levels work at half the resolution, with twice the view at a quarter of
    the cost; a thin branch at full resolution draws the outlines."""
    maximum_filters: int | None = Field(default=None, ge=1)
    """With `filters`: they are doubled up to this number; none: at every level."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """For `unet` and `cnn`: dropout at the lowest level, or before the classes."""
    normalization: Literal["none", "batch", "group"] = "group"
    """With `filters`: normalization after each convolution."""
    head: Literal["mask", "instances", "class"] = "mask"
    """What is learned. `mask`: the class of each pixel; `instances`: background, interior and
    border of each object (a softmax), and how deep in its object a pixel lies (a sigmoid);
    `class`: the class of the picture, which goes with `task: classification`."""
    outputs: int = Field(default=1, ge=1)
    """For `mask`: output channels; 1 is a sigmoid, more are a softmax (class 0 is background). For
    `class` it is the number of classes in the data, whatever stands here."""
    weights: Literal["none", "imagenet"] = "none"
    """For `mobilenetv2_unet`, `efficientnet_lite0_unet` and `resnet18`: pretrained weights. The
    `imagenet` file is downloaded into `resources/weights/` or dropped there by hand."""
    freeze_encoder: bool = False
    """For `mobilenetv2_unet` and `efficientnet_lite0_unet`: train only the decoder."""

    @property
    def channels(self) -> int:
        """Channels of the output: `outputs`, or the four of `instances`."""
        return 4 if self.head == "instances" else self.outputs


class KMeans(Section):
    """K-means in place of a network: no epochs, no GPU, done in seconds."""

    recipe: Literal["published", "honest"] = "honest"
    """`published`: the raw colours of each picture are clustered anew, as study 5 did; `honest`:
    clusters of brightness and local texture under even light, found on the training pictures."""
    clusters: list[Annotated[int, Field(ge=2, le=64)]] = Field([2, 3, 4, 6, 8, 12], min_length=1)
    """Numbers of clusters to try; the one with the best IoU on the training pictures is kept."""
    scales: list[Annotated[float, Field(ge=0.5, le=50)]] = Field([1.5, 4.0], min_length=1)
    """For `honest`: standard deviations, in pixels, of the Gaussian windows of the texture."""


class Evaluation(Section):
    """What is predicted and how it is scored."""

    resolution: Literal["native", "network"] = "native"
    """`native`: predictions are brought to the picture's own size; `network`: scored at the size
    the network works at, as published studies did."""
    overlap: float = Field(default=0.25, ge=0, lt=1)
    """Share of a patch that neighbouring tiles both cover; overlaps are blended by a Gaussian
    window. Without any, tiles are patches side by side."""
    flips: bool = False
    """Average the predictions over the eight flips and turns of a picture."""
    scales: list[Annotated[float, Field(ge=0.25, le=4)]] = Field(default=[1.0], min_length=1)
    """Factors that each picture is resized by to be predicted; the answers are resized back and
    averaged. Best within the scales that augmentation has shown to the network. With
    `head: instances` the first one alone tells objects apart."""
    fast: bool = False
    """Predict in half precision where the device is fast at that, with normalizations folded into
    convolutions: nearly the same answers in half the time."""
    ensemble: bool = False
    """Also predict with the mean of the networks of all seeds of a fold, and score that beside the
    single ones."""
    minimum_area: int = Field(default=16, ge=0)
    """Objects of fewer pixels are not counted."""
    bootstrap: int = Field(default=1000, ge=100)
    """Resamples for the intervals."""
    blank_test_labels: bool = False
    """Also report accuracy against all-zero test labels, as study 4 did by mistake; for
    `protocol: as-published` only."""
    shards: int = Field(default=1, ge=1)
    """Number of jobs and files that prediction is cut into."""


class Published(Section):
    """A figure that the published study reports."""

    metric: str
    """Name of the metric, as in `metrics.json`."""
    subset: Literal["train", "validation", "test"]
    """Subset that it was measured on."""
    value: float
    """The published value."""


class Study(Section):
    """A question asked of a dataset with a model under a split."""

    title: str
    """Name in the report."""
    question: str = ""
    """What is asked, in a sentence."""
    source: str = ""
    """Where the published study is described."""
    dataset: str
    """Name of a dataset."""
    task: Literal["segmentation", "confluency", "classification"] = "segmentation"
    """Kind of the answer. `confluency`: a segmentation whose report also tells how much of each
    picture is covered, and how far that is off; `classification`: the class of each picture;
    `network.head` is then `class`, and `network.architecture` is `cnn` where none is named."""
    protocol: Literal["honest", "as-published"] = "honest"
    """`as-published` allows what the published study did wrong; the report says so in red."""
    flaws: list[str] = []
    """For `as-published`: what is known to be wrong with the protocol."""
    published: list[Published] = []
    """Figures of the published study."""
    beside: str | None = None
    """Name of the study to show beside this one."""
    seeds: list[int] = Field(default=[1], min_length=1)
    """One training a seed."""
    split: Split = Split()
    """Which pictures are for training, validation and test."""
    preprocessing: Preprocessing = Preprocessing()
    """From a picture to what the network sees."""
    network: Network = Network()
    """The network."""
    training: Training = Training()
    """How the weights are found."""
    tensorboard: bool = False
    """Write learning curves for TensorBoard as well, below `results/logs/tensorboard`; changes no
    result."""
    search: Search | None = None
    """Values of `preprocessing`, `network` and `training` that are searched before the training
    proper, which then uses the best ones; none: no search."""
    kmeans: KMeans | None = None
    """K-means, in place of `network` and `training`; `{}` takes its defaults; none: a network."""
    evaluation: Evaluation = Evaluation()
    """What is predicted and how it is scored."""
    attribution: Attribution = Attribution()
    """For `classification`: maps of what the answers rest on."""

    @model_validator(mode="before")
    @classmethod
    def _implied(cls, values: Any) -> Any:
        return implied_study(values) if isinstance(values, dict) else values


class Config(Section):
    """The whole configuration."""

    datasets: dict[str, Dataset] = Field(min_length=1)
    """Datasets by name (letters, digits, `_` and `-`)."""
    studies: dict[str, Study] = Field(min_length=1)
    """Studies by name (letters, digits, `_` and `-`)."""
    run: list[str] | None = None
    """Names of the studies to run; none: all."""
    pictures: str | None = None
    """For the target `measure`: folder of pictures to measure."""
    model: str | None = None
    """For the target `measure`: a model folder, or the name of a study: its first trained model."""
    measure: Measure = Measure()
    """How own pictures are measured."""
