"""What all sections of the configuration have in common."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from coverslip.config.tasks import add_implied_to_study


class Section(BaseModel):
    """Base of all sections: unknown keys are refused, values cannot be changed later."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""A seed that NumPy, TensorFlow and scikit-learn take."""

Side = Annotated[int, Field(ge=1, le=16384)]
"""Height or width of an image in pixels."""


# --- The section of the configuration on maps of what speaks for a class


class OcclusionWindow(Section):
    """A window that hides a part of the image."""

    window: int = Field(ge=1, le=16384)
    """Height and width in pixels, at the size that the network works at."""
    stride: int = Field(ge=1, le=16384)
    """Pixels between two places of the window."""

    @property
    def name(self) -> str:
        """Name of its maps."""
        return f"occlusion {self.window}/{self.stride}"


class Attribution(Section):
    """For `task: classification`: maps of what speaks for a class, on held-out images."""

    images: int = Field(default=2, ge=0)
    """Images a class that are explained, half of them mistakes where there are any; 0: none."""
    occlusion: list[OcclusionWindow] = [
        OcclusionWindow(window=10, stride=5),
        OcclusionWindow(window=20, stride=10),
    ]
    """Windows of the occlusion maps; each gives maps of its own."""
    baseline: Literal["zero", "mean"] = "zero"
    """What hides pixels. `zero`: 0 in the scale that the network takes; `mean`: the mean colour of
    the image."""
    integrated_gradients: bool = True
    """Integrated gradients with SmoothGrad."""
    gradient_shap: bool = False
    """GradientSHAP: expected gradients between noisy copies of the image and random baselines,
    which are `baseline` and the image itself."""
    shap_samples: int = Field(default=50, ge=1)
    """For GradientSHAP: random points whose gradients are averaged."""
    shap_deviation: float = Field(default=1.0e-4, ge=0)
    """For GradientSHAP: standard deviation of the noise, in the scale that the network takes."""
    steps: int = Field(default=50, ge=1)
    """For integrated gradients: points between the baseline and the image."""
    smooth_samples: int = Field(default=8, ge=0)
    """For integrated gradients: noisy copies of the image; 0: no SmoothGrad."""
    smoothgrad: Literal["mean", "squared"] = "mean"
    """For SmoothGrad: average the maps of the noisy copies, or their squares."""
    smooth_deviation: float = Field(default=0.1, gt=0)
    """For SmoothGrad: standard deviation of the noise, in `smooth_deviation_unit`."""
    smooth_deviation_unit: Literal["range", "input"] = "range"
    """For SmoothGrad: `range`: fractions of the image's range; `input`: the scale that the network
    takes."""
    grad_cam: bool = True
    """Grad-CAM on the last features that still have places."""
    batch: int = Field(default=64, ge=1)
    """Images that are computed together."""
    seed: Seed = 1
    """Seed of the noise and of the random map that is the baseline."""


# --- The section of the configuration on measuring own images


class Measure(Section):
    """How own images are measured (target `measure`)."""

    name: str | None = Field(default=None, pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")
    """Name of the folder `results/measure/<name>`; none: that of the folder of images, and six
    characters that distinguish folders of one name, and models."""
    pixel_size_um: float | None = Field(default=None, gt=0)
    """Height and width of a pixel in micrometres; none: what each file says (OME, ImageJ, TIFF
    resolution), if anything. A value given here goes before that of the files."""
    channel: Annotated[int, Field(ge=0)] | Annotated[str, Field(min_length=1)] | None = None
    """Channel to segment where an image has several: its index from 0, its name as in the file
    (`DAPI`; letter case does not count, and a part that only one name has is enough), or its
    wavelength in nm (from 200 on). None: grey and RGB images as they are, while others with several
    channels are listed as not measured, with the names of their channels."""
    z: Literal["all", "max", "focus"] | Annotated[int, Field(ge=1)] = "all"
    """Depths of a z-stack. `all`: each is an image of its own; `max`: maximum projection; `focus`:
    the sharpest one; a number: this one, from 1 as in the column `plane`."""
    flatfield: bool = False
    """Flat-field correction: divide out the background, fitted to each image and channel as a
    smooth surface, before objects are found and intensities measured. For images with uneven light
    and single cells; not for images that cells cover."""
    ignore_black_border: bool = True
    """Black surroundings of the field of view do not count as area."""
    min_area_px: int = Field(default=16, ge=0)
    """Objects of fewer pixels are not counted."""
    features: Literal["basic", "standard", "all"] = "standard"
    """Features of each object: place, area, eccentricity and mean intensity; shape, intensities of
    every channel, neighbours and confidence as well; or also those of CellProfiler (with
    `pip install 'coverslip[features]'`)."""
    export: list[Literal["roi", "geojson", "parquet"]] = ["roi", "geojson", "parquet"]
    """Formats of the objects besides CSV and label images: ImageJ ROIs (`exports/*.roi.zip`),
    GeoJSON for QuPath (`exports/*.geojson`), and `objects.parquet`."""
    overlap: float = Field(default=0.25, ge=0, lt=1)
    """Share of a patch of the training that neighbouring tiles both cover."""
    clusters: int | None = Field(default=None, ge=2, le=64)
    """Number of clusters of the model `kmeans`; none: the elbow of each image, 2 to 8."""
    foreground_clusters: list[int] | None = None
    """Clusters of the model `kmeans` that are foreground: from 0, the darkest, or from -1, the
    brightest; none: all but the one with the most pixels."""
    tta: bool = False
    """Test-time augmentation: average the predictions over the eight flips and turns of an
    image."""
    mixed_precision: bool = False
    """Predict in half precision where the device is fast at that, with normalizations folded into
    convolutions: nearly the same answers in half the time."""
    max_in_memory_megapixels: float = Field(default=17.0, gt=0)
    """Larger images, in million pixels, are read, predicted and written by some rows at a time,
    so that they fit in memory; 4096 x 4096 pixels are 16.8 million."""
    time_pattern: str = (
        r"(?P<days>\d+)d(?P<hours>\d+)h(?P<minutes>\d+)m"
        r"|(?:^|[_\- ])[tT](?P<time>\d+(?:\.\d+)?)(?![0-9A-Za-z])"
    )
    """Regular expression searched in an image's name, with the named group `time` (a number) or
    any of `days`, `hours`, `minutes`, `seconds`. What is left of the name, or the group `series`,
    is the same for all images of one place. Times in the files' metadata go before."""
    time_unit: str = "frame"
    """Unit of the group `time`."""
    shards: int = Field(default=1, ge=1, le=10_000)
    """Number of jobs that the images are cut into."""

    @property
    def largest_whole(self) -> int:
        """Pixels of the largest image that is held in memory whole."""
        return int(self.max_in_memory_megapixels * 1e6)


# --- The section of the configuration on the search of hyper-parameters


class Values(Section):
    """Values of a key that are tried: a range, or a list of choices."""

    low: int | float | None = None
    """Smallest value. With whole numbers for `low` and `high` (1, not 1.0) only whole numbers are
    drawn."""
    high: int | float | None = None
    """Largest value."""
    log: bool = False
    """Draw evenly on a logarithmic scale."""
    choices: list[Any] | None = Field(default=None, min_length=1)
    """In place of a range: the values, all equally likely."""


class Search(Section):
    """Hyper-parameters found by successive halving before the study's training."""

    space: dict[str, Values] = Field(min_length=1)
    """What is tried, by the path of the key in the study: `training.learning_rate`,
    `network.filters`; any key of `preprocessing`, `network` and `training` but those that say what
    is learned, and `training.epochs`."""
    n_trials: int = Field(default=16, ge=2, le=10_000)
    """Trials at the start. More of them later leave the earlier ones as they are."""
    min_epochs: int = Field(default=1, ge=1)
    """Epochs that every trial gets: the first rung."""
    max_epochs: int = Field(default=9, ge=1)
    """Largest number of epochs: there are rungs of `min_epochs`, times `reduction_factor`, times
    `reduction_factor` again up to it, as long as more than one trial is left."""
    reduction_factor: int = Field(default=3, ge=2)
    """One trial of so many goes on to the next rung, with so many times the epochs."""
    metric: Literal["loss", "accuracy", "iou"] = "loss"
    """What ranks trials, on validation images, at the epoch whose weights would be kept. A low
    loss is better; a high accuracy (of pixels, or of images) or IoU."""
    seed: Seed = 1
    """Seed of the draw, and of the training of every trial."""


# --- The section `training`: how the weights of a network are found


class Augmentation(Section):
    """Random changes of the training patches, drawn again in each epoch."""

    flip: bool = True
    """Flip left-right and up-down."""
    rot90: bool = True
    """Turn by multiples of 90 degrees."""
    rotation: float = Field(default=0.0, ge=0, le=180)
    """Largest rotation to either side, in degrees (uniform)."""
    shift: float = Field(default=0.0, ge=0, lt=1)
    """Largest shift along rows and columns, as a fraction of the side (uniform)."""
    shear: float = Field(default=0.0, ge=0, lt=90)
    """Largest shear to either side, in degrees (uniform)."""
    zoom: tuple[float, float] = (1.0, 1.0)
    """Smallest and largest zoom, drawn for rows and columns independently (uniform; above 1 a patch
    shows more). Rotation, shift, shear and zoom are one affine map, as in Keras'
    ImageDataGenerator; pixels from outside repeat the nearest one."""
    frozen_copies: int = Field(default=0, ge=0)
    """0: patches are changed in each epoch; 1 or more: so many changed copies of each patch are
    made once and added to the unchanged patches."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Smallest and largest magnification (log-uniform)."""
    contrast: tuple[float, float] = (1.0, 1.0)
    """Smallest and largest factor of the contrast about the patch's mean (log-uniform)."""
    gamma: tuple[float, float] = (0.7, 1.4)
    """Smallest and largest exponent of the brightness (log-uniform)."""
    illumination: float = Field(default=0.0, ge=0, lt=1)
    """Largest loss of light towards one side of the patch, as a fraction."""
    blur: float = Field(default=0.0, ge=0)
    """Largest standard deviation of a Gaussian blur, in pixels."""
    noise: float = Field(default=0.0, ge=0)
    """Largest standard deviation of Gaussian noise, on the scale 0..1."""
    jpeg: int = Field(default=100, ge=1, le=100)
    """Lowest quality of a JPEG compression; 100: none."""
    invert: float = Field(default=0.0, ge=0, le=1)
    """Probability of inverting the brightness."""
    empty: float = Field(default=0.0, ge=0, le=1)
    """Probability of replacing a patch by noise, sharp or smooth, without any object."""


class Training(Section):
    """How the weights are found."""

    epochs: int = Field(default=50, ge=1, le=1_000_000)
    """Largest number of epochs."""
    batch_size: int = Field(default=16, ge=1, le=65_536)
    """Patches a step."""
    patches_per_epoch: int | None = Field(default=None, ge=1)
    """Patches drawn for an epoch; none: every patch once."""
    sampling: Literal["image", "group"] = "image"
    """With `patches_per_epoch`: `image`: all images give as many patches; `group`: all groups of
    the split do, so that an acquisition with many images does not outweigh the others."""
    steps_per_epoch: int | None = Field(default=None, ge=1)
    """Batches of an epoch, from an endless stream of shuffled passes that goes on from epoch to
    epoch; none: one pass."""
    validation_steps: int | None = Field(default=None, ge=1)
    """Batches of a validation, from the first patch on and round again; none: every patch once."""
    shuffle: Literal["each_epoch", "once"] = "each_epoch"
    """When the training patches are shuffled. `once`: all epochs have the same random order."""
    micro_batch_size: int | None = Field(default=None, ge=1)
    """Patches that pass through the network together; gradients of a batch are averaged, and batch
    normalization sees so many patches. None: the whole batch."""
    validation_mode: Literal["inference", "training"] = "inference"
    """`training`: validation with dropout, and with batch normalization on the statistics of the
    batch, which it also adds to the running ones, as PyTorch does without `eval()`."""
    overwrite_masks: bool = False
    """The first training images, in order of their ids, get the masks of the test images: a mistake
    of study 4; for reproductions (`reproduces`) only."""
    adam_epsilon: float = Field(default=1.0e-7, gt=0)
    """Epsilon of Adam; 1.0e-7 is the default of Keras, 1.0e-8 that of PyTorch."""
    learning_rate: float = Field(default=3.0e-3, gt=0)
    """Learning rate at the start (Adam)."""
    schedule: Literal["constant", "step", "cosine"] = "cosine"
    """`step`: times `step_factor` every `step_epochs`; `cosine`: to zero at the last epoch."""
    warm_restarts: list[Annotated[int, Field(ge=1)]] = []
    """For `cosine`: epochs after which the learning rate is at its height again, to fall to zero
    again; [60] with 100 epochs goes on where a training of 60 epochs ends."""
    step_epochs: int = Field(default=10, ge=1)
    """For `step`: epochs between two steps."""
    step_factor: float = Field(default=0.9, gt=0, le=1)
    """For `step`: factor at each step."""
    loss: Literal["crossentropy", "dice", "crossentropy+dice"] = "crossentropy+dice"
    """Loss function; cross-entropy is binary with one output channel. `task: classification` has
    `crossentropy` only."""
    dice: Literal["batch", "patch"] = "batch"
    """For Dice: over all pixels of a batch, or of each patch on its own, which gives a patch with
    little foreground the same say."""
    batchnorm_statistics: Literal["running", "recalibrated"] = "running"
    """Means and variances of batch normalization, for prediction. `running`: those that training
    leaves, which follow its last few batches; `recalibrated`: computed again from some hundred
    batches at the end."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced`: weights inverse to the share of a class among the training pixels."""
    monitor: Literal["validation_loss", "validation_accuracy"] = "validation_loss"
    """Criterion of the best epoch: lowest validation loss or highest validation accuracy."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after this many epochs without a better value of `monitor`; none: never."""
    restore_best: bool = True
    """Keep the weights of the best epoch rather than of the last."""
    threshold_metric: Literal["iou", "iou_pooled", "confluency"] | None = None
    """What the threshold on the probability of foreground is tuned for, on the validation images:
    mean IoU of images, IoU of all their pixels, or confluency; none: `confluency` for that task,
    else `iou`. In a reproduction (`reproduces`) it stays 0.5."""
    augmentation: Augmentation = Augmentation()
    """Random changes of the training patches."""


# --- The configuration: one pydantic model a section


class Limits(Section):
    """What an archive may hold; above it, it is refused as hostile or mistaken, by name."""

    unpacked_gb: float = Field(default=500.0, gt=0)
    """Largest size of all members of an archive together, unpacked, in 10^9 bytes."""
    ratio: float = Field(default=100.0, ge=1)
    """Largest ratio of that size to the size of the archive; up to 100 MB it is not asked."""
    file_mb: float = Field(default=2000.0, gt=0)
    """Largest size of one file that is read into memory, unpacked, in 10^6 bytes."""
    megapixels: float = Field(default=200.0, gt=0)
    """Largest number of pixels of an image, in millions."""


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
    simulator: Literal["nuclei", "brightfield", "phase_contrast", "histology_patches"] = "nuclei"
    """For `synthetic`: what is drawn. `nuclei`: fluorescent nuclei with masks (format `dsb2018`);
    `brightfield`: unstained cells that cover more or less of a dish (format `paired`);
    `phase_contrast`: nine cell lines (format `livecell`); `histology_patches`: four kinds of
    nuclei, cut from slides (format `labelled_csv`)."""
    images: int = Field(default=96, ge=4, le=1_000_000)
    """For `synthetic`: number of images."""
    size: int = Field(default=256, ge=32, le=16384)
    """For `synthetic`: height and width of an image in pixels."""
    seed: Seed = 1
    """For `synthetic`: seed of the generator."""
    limits: Limits = Limits()
    """What the archive may hold."""


class Dataset(Section):
    """Images with their labels."""

    title: str
    """Name in the report."""
    licence: str = "not stated"
    """Licence of the data; it is copied into every model trained on them."""
    citation: str = ""
    """How to cite the data."""
    source: Source
    """Where the raw archive comes from."""
    format: Literal[
        "dsb2018", "paired", "livecell_coco", "livecell", "labelled_csv", "class_folders"
    ]
    """How the archive becomes records. `dsb2018`: `<id>/images/*.png` with one mask a nucleus in
    `<id>/masks/`; `paired`: a folder of images and a folder of masks, matched by name;
    `livecell_coco`: images with polygons in COCO json files; with classes instead of masks:
    `livecell`: the cell lines of LIVECell; `labelled_csv`: images with a csv of their labels;
    `class_folders`: a folder a class."""
    images: str = "inputs"
    """For `paired`: name of the folder of images, at any depth."""
    masks: str = "masks"
    """For `paired`: name of the folder of masks, at any depth. The same as `images` where label
    files (`a_mask.png`, `a_seg.npy`, `a.label.tif`, `a.zip`, ...) are next to their images; images
    without one are then left out."""
    annotations: str = "livecell_coco_*.json"
    """For `livecell_coco`: pattern of the names of the json files, at any depth."""
    labels: str = "train.csv"
    """For `labelled_csv`: name of the csv with the labels, at any depth."""
    label_columns: tuple[str, str] = ("Filename", "Label")
    """For `labelled_csv`: its columns with the image's file name and its label."""
    class_names: dict[str, str] = {}
    """Names of classes for reading, by their labels; a class without one is called by its label."""
    mask_threshold: int = Field(default=0, ge=0)
    """Mask values above it are foreground (127 for masks with soft edges)."""
    channel: Annotated[int, Field(ge=0)] | Annotated[str, Field(min_length=1)] | None = None
    """Channel of images with several, see `measure`: index from 0, name, or wavelength in nm."""
    z: Literal["all", "max", "focus"] | Annotated[int, Field(ge=1)] = "all"
    """Depth of images with several, see `measure`: an image of a dataset is one plane."""
    group_by: Literal["image", "filename", "metadata", "acquisition", "overlap"] = "image"
    """What must not cross a split. `image`: each image on its own; `filename`: taken from the
    image's id; `metadata`: from the archive (line and well of LIVECell); `acquisition`:
    derived from size, modality and look; `overlap`: images with a common area, pixel by pixel.
    Duplicates and images that were cut side by side from one field share a group in any case."""
    group_pattern: str | None = None
    """For `filename`: regular expression with a named group `group`, searched in the id."""
    pixel_size_um: float | None = Field(default=None, gt=0)
    """Height and width of a pixel in micrometres, if known: figures have scale bars and sizes in
    µm."""
    near_duplicate_distance: int = Field(default=6, ge=0, le=64)
    """Two images of one size whose 64-bit perceptual hashes differ in at most this many bits, and
    whose thumbnails correlate, are near duplicates."""


def bare_dataset(
    name: str, section: dict[str, Any], limits: dict[str, Any] | None = None
) -> Dataset:
    """A dataset from the part of its section that changes its images (no words, no source)."""
    section = dict(section)
    bounds = Limits(**(limits or {}))
    source = Source(kind="path", path=None, sha256=section.pop("sha256", None), limits=bounds)
    return Dataset(title=name, source=source, **section)


class Split(Section):
    """Which images are for training, validation and test."""

    method: Literal[
        "random", "grouped", "archive_order", "official", "file", "train_test_split"
    ] = "grouped"
    """`random`: images at random; `grouped`: whole groups; `archive_order`: in the order
    of the archive, train, validation, test; `official`: the archive's own folder of test
    images, validation in whole groups; `file`: from a table; `train_test_split`:
    scikit-learn's function on the images in the order of the archive, with `seed` as its
    `random_state`."""
    unit: Literal["image", "patch"] = "image"
    """What is drawn. `patch`: patches of `preprocessing.patch` pixels side by side, remainders left
    out, so that patches of one image are in training and test; for reproductions (`reproduces`)
    with `validation: 0` only. Test patches alone are scored."""
    test_folder: str | None = None
    """For `official`: name of the folder of test images, at any depth."""
    folds: int = Field(default=1, ge=1, le=1000)
    """1: one split by the shares below; 2 or more: k-fold, each fold is the test set once."""
    test: float = Field(default=0.2, ge=0, lt=1)
    """Share of the images for test, with one fold."""
    validation: float = Field(default=0.2, ge=0, lt=1)
    """Share of the images that are not for test which go to validation; 0: the test images are
    the validation images, too, for reproductions (`reproduces`) only."""
    validation_method: Literal["method", "train_test_split", "last"] = "method"
    """How validation is drawn from the images that are not for test. `method`: as `method` does;
    `train_test_split`: by scikit-learn's function; `last`: the last ones, in the order of the
    archive or that `train_test_split` left, as Keras' `validation_split` does."""
    stratify: Literal["none", "modality", "class"] = "none"
    """Keep the shares of this property alike in all subsets."""
    seed: Seed = 1
    """Seed of the draw."""
    file: str | None = None
    """For `file`: a csv with the columns id, fold, subset."""


class Preprocessing(Section):
    """From an image to what the network sees; stored in the model folder."""

    channels: Literal["grey", "max_contrast", "rgb"] = "max_contrast"
    """Channels of the network's input. `grey`: luma; `max_contrast`: one of the image's channels,
    that with the largest range between the 1st and 99.8th percentile: of a tinted fluorescence
    image, the channel that was stained. With `task: classification` and with K-means it is `rgb`
    where none is named."""
    normalization: Literal["dtype_range", "percentile"] = "percentile"
    """`dtype_range`: the range of the data type becomes 0..255; `percentile`: the 1st and 99.8th
    percentile of each image do, the same for all channels; a range that is hardly more than noise
    is widened, so that an empty field stays nearly flat. With `task: classification` and with
    K-means it is `dtype_range` where none is named."""
    invert_bright_background: bool = False
    """Invert images with a bright background."""
    transform: Literal["linear", "sqrt"] = "linear"
    """`sqrt`: square root of the brightness, after the inversion: dim objects show next to
    bright ones, and shot noise is alike at all levels."""
    clahe_clip: float | None = Field(default=None, gt=0)
    """Clip limit of CLAHE on the L channel of CIELAB (8x8 tiles); none: no CLAHE."""
    input_scaling: Literal["none", "unit", "zscore", "imagenet", "column_l2"] = "unit"
    """`none`: 0..255; `unit`: 0..1; `zscore`: one mean and standard deviation a channel,
    fitted on images (`fit_scaling_on`); `imagenet`: 0..1, then the mean and standard deviation of
    ImageNet (RGB only); `column_l2`: each pixel column of a patch divided by its Euclidean norm."""
    fit_scaling_on: Literal["training", "all", "each_subset"] = "training"
    """For `zscore`, images that it is fitted on. `all`: with validation and test images;
    `each_subset`: training and validation images together, test images on themselves. The last
    two leak and need a reproduction (`reproduces`)."""
    resize: tuple[Side, Side] | None = None
    """Resize whole images to height and width in pixels; none: patches at native size."""
    resize_filter: Literal["area", "bilinear", "bicubic"] = "area"
    """How images are resized. `area`: area average where they shrink, linear where they grow;
    `bilinear`: OpenCV's, without antialiasing; `bicubic`: Pillow's, with antialiasing."""
    mask_resize: Literal["area", "nearest", "bilinear-ceil", "bicubic-nonzero"] = "area"
    """How masks are resized. `area`: area average with a threshold of 0.5 (ties go to the
    nearest pixel); `bilinear-ceil`: bilinear, rounded up, and `bicubic-nonzero`: Pillow's bicubic,
    every value above 0, both grow objects; for reproductions (`reproduces`) only."""
    rescale_objects: bool = False
    """Resize each image at prediction, so that its objects have the typical diameter of those in
    the training images; it is estimated in a first pass. For `head: instance` without `resize`."""
    patch: int = Field(default=128, ge=16, le=4096)
    """Height and width of a patch in pixels."""
    overlap: float = Field(default=0.0, ge=0, lt=1)
    """Share of a patch that its neighbour covers too."""
    min_foreground_fraction: float = Field(default=0.0, ge=0, le=1)
    """Training patches with a smaller share of foreground are left out."""
    shards: int = Field(default=1, ge=1, le=10_000)
    """Number of jobs and files that patches are cut into; another number cuts patches and
    trains networks again."""


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
    configurable, for images of any size; `livecell_cnn`, `livecell_cnn_bn`: of study 1 (5,007,593
    and 9,571,305 parameters); `nuclei_cnn` (20,587,108) and `resnet18`: of study 3."""
    filters: int = Field(default=16, ge=1, le=4096)
    """For `unet` and `cnn`: filters of the first level, doubled at each level; for
    `efficientnet_lite0_unet`: those of the decoder, at half the resolution."""
    depth: int = Field(default=4, ge=1, le=7)
    """For `unet` and `cnn`: number of poolings."""
    stem_stride: Literal[1, 2] = 2
    """For `unet`: 2: all levels work at half the resolution, with twice the view at a quarter of
    the cost; a thin branch at full resolution draws the outlines."""
    stem_kernel: Literal[3, 7] = 7
    """For `resnet18`: size of the first convolution. 7: with stride 2, as on ImageNet; 3: with
    stride 1, from random weights even where the others are pretrained, as study 3 had it."""
    dense_1: int = Field(default=256, ge=1, le=65_536)
    """For `nuclei_cnn`: units of its first dense layer."""
    dense_2: int = Field(default=32, ge=1, le=65_536)
    """For `nuclei_cnn`: units of its second dense layer."""
    max_filters: int | None = Field(default=None, ge=1, le=4096)
    """With `filters`: they are doubled up to this number; none: at every level."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """For `unet` and `cnn`: dropout at the lowest level, or before the classes."""
    normalization: Literal["none", "batch", "group"] = "batch"
    """With `filters`: normalization after each convolution."""
    head: Literal["semantic", "instance", "classification"] = "instance"
    """What is learned. `semantic`: the class of each pixel; `instance`: background, interior and
    border of each object (a softmax), and how deep in its object a pixel is (a sigmoid);
    `classification`: the class of the image, which goes with `task: classification`. With `task:
    confluency` it is `semantic` where none is named."""
    num_classes: int = Field(default=1, ge=1)
    """For `semantic`: output channels; 1 is a sigmoid, more are a softmax (class 0 is background).
    For `classification` it is the number of classes in the data, whatever is given here."""
    weights: Literal["none", "imagenet"] = "none"
    """For `mobilenetv2_unet`, `efficientnet_lite0_unet` and `resnet18`: pretrained weights. The
    `imagenet` file is downloaded into `resources/weights/` or dropped there by hand."""
    freeze_encoder: bool = False
    """For `mobilenetv2_unet` and `efficientnet_lite0_unet`: train only the decoder."""

    @property
    def channels(self) -> int:
        """Channels of the output: `num_classes`, or the four of `instance`."""
        return 4 if self.head == "instance" else self.num_classes


class KMeans(Section):
    """K-means in place of a network: no epochs, no GPU, done in seconds."""

    features: Literal["raw_color", "texture"] = "texture"
    """`raw_color`: the raw colours of each image are clustered again, as study 5 did; `texture`:
    clusters of brightness and local texture under even light, fitted on the training images."""
    clusters: list[Annotated[int, Field(ge=2, le=64)]] = Field([2, 3, 4, 6, 8, 12], min_length=1)
    """Numbers of clusters to try; the one with the best IoU on the training images is kept."""
    scales: list[Annotated[float, Field(ge=0.5, le=50)]] = Field([1.5, 4.0], min_length=1)
    """For `texture`: standard deviations, in pixels, of the Gaussian windows of the texture."""


class LabelFolder(Section):
    """Label images that another program made, scored as predictions."""

    kind: Literal["labels"]
    """Label images of a folder."""
    path: str = Field(min_length=1)
    """Folder of label images, absolute or relative to the working directory: TIFF, PNG, npy,
    OME-Zarr, `_seg.npy` of Cellpose, ROIs of ImageJ, COCO or GeoJSON, one file an image with the
    name of its image. A `tool.json` in it describes the program."""
    head: Literal["instance", "semantic"] = "instance"
    """What is scored. `instance`: objects and foreground; `semantic`: the foreground alone. With
    `task: confluency` it is `semantic` where none is named."""
    mask_threshold: int | None = Field(default=None, ge=0)
    """None: each value is an object. A number: the files are binary masks, values above it are
    foreground, and objects are its connected components (127 for masks with soft edges)."""


class BaselineModel(Section):
    """A method without training in place of a network."""

    kind: Literal["baseline"]
    """One of the baselines that every result is compared with, as a study of its own."""
    method: Literal["otsu", "otsu_watershed"]
    """`otsu`: connected components of Otsu's threshold; `otsu_watershed`: the same, cut where they
    are narrow."""
    head: Literal["instance", "semantic"] = "instance"
    """See `LabelFolder`."""


class ToolTraining(Section):
    """Training of StarDist by its own package, on the training images of the split."""

    epochs: int = Field(default=100, ge=1, le=1_000_000)
    """Epochs; the one with the lowest validation loss is selected."""
    steps: int = Field(default=100, ge=1)
    """Batches of an epoch."""
    batch: int = Field(default=4, ge=1, le=65_536)
    """Patches of a batch."""
    patch: int = Field(default=256, ge=32, le=4096)
    """Height and width of a patch in pixels; smaller images are filled up with zeros."""
    rays: int = Field(default=32, ge=3, le=1024)
    """Distances to the contour that are predicted for each pixel."""
    learning_rate: float = Field(default=3.0e-4, gt=0)
    """Learning rate at the start (Adam), halved after `patience` epochs without a better
    validation loss."""
    patience: int = Field(default=40, ge=1)
    """See `learning_rate`."""


class ToolModel(Section):
    """Another tool, which the workflow applies to the test images (docs/how-to/tools.md)."""

    kind: Literal["tool"]
    """Another tool."""
    tool: Literal["stardist", "cellpose", "instanseg", "micro_sam", "command"]
    """Name of the tool; `command`: any program that makes a folder of label images from a folder of
    images."""
    model: str | None = Field(default=None, min_length=1)
    """Name of a published model of the tool, or path of a model of yours (StarDist: a folder or a
    zip of it; Cellpose and micro_sam: a file; InstanSeg: a folder or zip with `instanseg.pt`).
    None: `2D_versatile_fluo`, `cpsam_v2`, `fluorescence_nuclei_and_cells`, `vit_b_lm`."""
    command: str | None = Field(default=None, min_length=1)
    """For `command`: the command for the shell, with `{images}` and `{labels}` for both folders:
    `mytool --in {images} --out {labels}`. The images are TIFF files, `<id>.tif`; label images have
    the same names and any format of `kind: labels`."""
    train: ToolTraining | None = None
    """For `stardist`: train it on the split, in place of a published model; `{}` takes the
    defaults."""
    options: dict[str, bool | int | float | str | list[int]] = {}
    """Arguments of the tool's own function by name: `{diameter: 30}` of Cellpose, `{pixel_size:
    0.5}` of InstanSeg, `{prob_thresh: 0.4}` of StarDist."""
    shards: int = Field(default=1, ge=1, le=10_000)
    """Number of jobs that the images are cut into."""
    head: Literal["instance", "semantic"] = "instance"
    """See `LabelFolder`."""
    mask_threshold: int | None = Field(default=None, ge=0)
    """See `LabelFolder`."""


OtherModel = Annotated[LabelFolder | BaselineModel | ToolModel, Field(discriminator="kind")]
"""A model that is not trained here: its label images are scored as they are."""


class Evaluation(Section):
    """What is predicted and how it is scored."""

    resolution: Literal["native", "network"] = "native"
    """`native`: predictions are brought to the image's own size; `network`: scored at the size
    the network works at, as published studies did."""
    overlap: float = Field(default=0.25, ge=0, lt=1)
    """Share of a patch that neighbouring tiles both cover; overlaps are blended by a Gaussian
    window. Without any, tiles are patches side by side."""
    tta: bool = False
    """Test-time augmentation: average the predictions over the eight flips and turns of an
    image."""
    tta_scales: list[Annotated[float, Field(ge=0.25, le=4)]] = Field(default=[1.0], min_length=1)
    """Factors that each image is resized by to be predicted; the answers are resized back and
    averaged. Best within the scales that augmentation has shown to the network. With
    `head: instance` the first one alone separates objects."""
    mixed_precision: bool = False
    """Predict in half precision where the device is fast at that, with normalizations folded into
    convolutions: nearly the same answers in half the time."""
    ensemble: bool = False
    """Also predict with the mean of the networks of all seeds of a fold, and score that like the
    single ones."""
    min_area_px: int = Field(default=16, ge=0)
    """Objects of fewer pixels are not counted."""
    blank_test_labels: bool = False
    """Also report accuracy against all-zero test labels, as study 4 did by mistake; in
    a reproduction (`reproduces`) only."""
    shards: int = Field(default=1, ge=1, le=10_000)
    """Number of jobs and files that prediction is cut into."""


class ReportedResult(Section):
    """A metric that the published study reports."""

    metric: str
    """Name of the metric, as in `metrics.json`."""
    subset: Literal["train", "validation", "test"]
    """Subset that it was measured on."""
    value: float
    """The reported value."""


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
    """Kind of the answer. `confluency`: a segmentation whose report also has how much of each
    image is covered, and how far that is off; `classification`: the class of each image;
    `network.head` is then `classification`, and `network.architecture` is `cnn` where none is
    named."""
    reproduces: str | None = Field(default=None, min_length=1)
    """For a reproduction: name of the published study. It allows what that study did wrong; the
    report marks it in red."""
    known_issues: list[str] = []
    """What is known to be wrong with the protocol or the data."""
    reported_results: list[ReportedResult] = []
    """Metrics that the published study reports."""
    compare_with: str | None = None
    """Name of the study to compare this one with."""
    open_licence: bool = False
    """The model is for anyone and any purpose: refuse a dataset or pretrained weights whose licence
    is not open, or not stated."""
    seeds: list[Seed] = Field(default=[1], min_length=1, max_length=1000)
    """One training a seed."""
    split: Split = Split()
    """Which images are for training, validation and test."""
    preprocessing: Preprocessing = Preprocessing()
    """From an image to what the network sees."""
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
    model: OtherModel | None = None
    """A model that is not trained here, in place of `network` and `training`: label images of
    another program (`kind: labels`), another tool (`kind: tool`) or a baseline; none: a network."""
    evaluation: Evaluation = Evaluation()
    """What is predicted and how it is scored."""
    attribution: Attribution = Attribution()
    """For `classification`: maps of what the answers rest on."""

    @model_validator(mode="before")
    @classmethod
    def _implied(cls, values: Any) -> Any:
        return add_implied_to_study(values) if isinstance(values, dict) else values


class Config(Section):
    """The whole configuration."""

    format: Literal[2] = 2
    """Version of the names of keys and values."""
    title: str | None = None
    """Title of the report; none: made from the titles of its studies and datasets."""
    datasets: dict[str, Dataset] = {}
    """Datasets by name (letters, digits, `_` and `-`)."""
    studies: dict[str, Study] = {}
    """Studies by name (letters, digits, `_` and `-`). The target `measure` needs none."""
    run: list[str] | None = None
    """Names of the studies to run; none: all."""
    images: str | None = None
    """Folder of images to measure, or the name of a study: its test images (of the first fold). The
    target `measure` makes their page alone, `all` makes it as well."""
    model: str | None = None
    """For `images`: a model folder, a model that comes with coverslip (`nuclei-1`, the default), or
    the name of a study: its first trained model. A model of classes gives the class of each
    image."""
    classifier: str | None = None
    """For `images`: a model of classes, as `model`, that classifies each object that
    `model` finds."""
    measure: Measure = Measure()
    """How own images are measured."""
    tool_python: dict[str, str] = {}
    """Python interpreters that have other tools, by tool: `{stardist: /envs/stardist/bin/python}`.
    Without an entry the environment of `--sdm conda`, or else that of Snakemake, is used. Changes
    no parameter of a job."""
    tensorflow: Literal["cpu", "gpu"] = "cpu"
    """The TensorFlow that `--sdm conda` installs; without `--sdm conda` that of the environment is
    used. Changes no parameter of a job."""
