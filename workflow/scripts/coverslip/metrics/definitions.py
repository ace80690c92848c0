"""The list of all metrics: what each number of `metrics.json` is and which function computes it.

Evaluation computes these metrics and no others. To add one, write a function of arrays in this
folder and add an entry to the list of its task.
"""

from __future__ import annotations

from functools import partial

from coverslip.metrics import classification, confluency, instances, pixels
from coverslip.metrics.confluency import BANDS
from coverslip.metrics.matching import PERCENT
from coverslip.metrics.metric import Metric, Support, ratio

ALL_IMAGES = Support("images", "images")
AVERAGED_IMAGES = Support("images")
CLASS_IMAGES = Support("images of the class", "class_images")
ALL_PIXELS = Support("pixels", "pixels")
CLASS_PIXELS = Support("pixels of the class", "class_pixels")
TRUE_OBJECTS = Support("true objects", "n_true")
PREDICTED_OBJECTS = Support("predicted objects", "n_predicted")
MATCHED_PAIRS = Support("matched pairs", "tp_50")

# fmt: off
# The lists are tables: name, function, inputs, support, definition.

# --- Masks

COUNTS = pixels.COUNTS
FOREGROUND = ("tp", "fp", "fn")
CLASSES = ("class_tp", "class_fp", "class_fn")
EMPTY = "an image with foreground in neither truth nor prediction counts as 1."

PIXELS = (
    Metric("pixel_accuracy", pixels.accuracy, COUNTS, ALL_PIXELS,
        "Fraction of all pixels whose class is correct."),
    Metric("balanced_accuracy", pixels.balanced_accuracy, CLASSES, ALL_PIXELS,
        "Mean of the recalls of background and foreground, over all pixels."),
    Metric("iou", pixels.image_iou, FOREGROUND, AVERAGED_IMAGES,
        "Intersection over union of the foreground, TP / (TP + FP + FN), of each image, then the "
        f"mean over images; {EMPTY}", average="mean"),
    Metric("iou_pooled", pixels.iou, FOREGROUND, ALL_PIXELS,
        "Intersection over union of the foreground, TP / (TP + FP + FN), over all pixels of all "
        "images."),
    Metric("dice", pixels.image_dice, FOREGROUND, AVERAGED_IMAGES,
        "Dice coefficient of the foreground, 2 TP / (2 TP + FP + FN), of each image, then the "
        f"mean over images; {EMPTY}", average="mean"),
    Metric("macro_precision", pixels.macro_precision, CLASSES, ALL_PIXELS,
        "Mean of the precisions of background and foreground."),
    Metric("macro_f1", pixels.macro_f1, CLASSES, ALL_PIXELS,
        "Mean of the F1 of background and foreground."),
    Metric("precision", pixels.precision, CLASSES, CLASS_PIXELS,
        "Fraction of the pixels predicted as this class that are of it: TP / (TP + FP); 0 if the "
        "class is never predicted.", by_class=True),
    Metric("recall", pixels.recall, CLASSES, CLASS_PIXELS,
        "Fraction of the true pixels of this class that are predicted as it: TP / (TP + FN).",
        by_class=True),
    Metric("f1", pixels.f1, CLASSES, CLASS_PIXELS,
        "Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN), over all pixels.",
        by_class=True),
)

BLANK_LABELS = Metric("accuracy_blank_labels", pixels.predicted_background, COUNTS, ALL_PIXELS,
                   "Pixel accuracy against labels that are all background, a published mistake: "
                   "the fraction of pixels predicted as background. It does not measure the "
                   "quality of a prediction.", higher_is_better=None)


def _object_counts(objects: str) -> tuple[Metric, ...]:
    """Return the metrics of the number of objects; `objects` defines what is counted."""
    both = ("n_predicted", "n_true")
    return (
        Metric("object_count_mae", instances.absolute_count_error, both, TRUE_OBJECTS,
            f"Mean over images of |predicted - true| number of objects. {objects}",
            unit="objects per image", higher_is_better=False, average="mean"),
        Metric("object_count_bias", instances.count_error, both, TRUE_OBJECTS,
            f"Mean over images of predicted - true number of objects. {objects}",
            unit="objects per image", higher_is_better=None, average="mean"),
        Metric("object_count_ratio", ratio, both, TRUE_OBJECTS,
            "Number of predicted objects divided by the number of true objects, over all images; "
            f"1 is best. {objects}", unit="ratio", higher_is_better=None),
    )


REGION_COUNTS = _object_counts(
    "Predicted objects are 8-connected regions of at least {min_area_px} pixels, true ones the "
    "instances of the label image; touching nuclei that the mask joins count as one."
)
"""Of masks without instances; `{min_area_px}` is replaced by the setting of the study."""

# --- Instances

MATCH = (
    "at IoU 0.{} (a true and a predicted object match if their intersection over union is at least "
    "that)"
)
HALF = MATCH.format(50)
NO_OBJECTS = "an image without any object, true or predicted, counts as 1."
AP = "AP as TP / (TP + FP + FN), objects counted,"
THRESHOLDS = "then the mean over the thresholds 0.50, 0.55, ..., 0.95"
F1 = f"2 TP / (2 TP + FP + FN), objects counted, {HALF}"
PQ = (
    f"Panoptic quality, sum of the IoU of matched pairs / (TP + FP / 2 + FN / 2), {HALF} "
    "(Kirillov et al., CVPR 2019)"
)
POOLED = "over the objects of all images."
OVER_IMAGES = f"of each image, then the mean over images; {NO_OBJECTS}"
NUMBERS = ("n_true", "n_predicted")

INSTANCES = (
    Metric("mean_ap", instances.image_mean_average_precision, ("tp", *NUMBERS), AVERAGED_IMAGES,
        f"{AP} of each image, {THRESHOLDS} and over images: the score of the 2018 Data Science "
        f"Bowl (Caicedo et al., Nature Methods 2019); {NO_OBJECTS}", average="mean"),
    Metric("mean_ap_pooled", instances.mean_average_precision, ("tp", *NUMBERS), TRUE_OBJECTS,
        f"{AP} over the objects of all images, {THRESHOLDS}."),
    *(
        metric
        for percent in PERCENT
        for metric in (
            Metric(f"ap{percent}", instances.image_average_precision,
                (f"tp_{percent}", *NUMBERS), AVERAGED_IMAGES,
                f"{AP} {MATCH.format(percent)}, {OVER_IMAGES}", average="mean"),
            Metric(f"ap{percent}_pooled", instances.average_precision,
                (f"tp_{percent}", *NUMBERS), TRUE_OBJECTS,
                f"{AP} {MATCH.format(percent)}, over the objects of all images: the accuracy of "
                "stardist.matching (Schmidt et al., MICCAI 2018)."),
        )
    ),
    Metric("f1_50", instances.image_f1, ("tp_50", *NUMBERS), AVERAGED_IMAGES,
        f"{F1}, {OVER_IMAGES}", average="mean"),
    Metric("f1_50_pooled", instances.f1, ("tp_50", *NUMBERS), TRUE_OBJECTS,
        f"{F1}, {POOLED}"),
    Metric("pq", instances.image_panoptic_quality, ("iou_50", *NUMBERS), AVERAGED_IMAGES,
        f"{PQ}, {OVER_IMAGES}", average="mean"),
    Metric("pq_pooled", instances.panoptic_quality, ("iou_50", *NUMBERS), TRUE_OBJECTS,
        f"{PQ}, {POOLED}"),
    Metric("precision_50", ratio, ("tp_50", "n_predicted"), PREDICTED_OBJECTS,
        f"Fraction of predicted objects with a match {HALF}: TP / (TP + FP), {POOLED}"),
    Metric("recall_50", ratio, ("tp_50", "n_true"), TRUE_OBJECTS,
        f"Fraction of true objects with a match {HALF}: TP / (TP + FN), {POOLED}"),
    Metric("mean_matched_iou", ratio, ("iou_50", "tp_50"), MATCHED_PAIRS,
        f"Mean IoU of the pairs that match {HALF}, {POOLED} Its product with F1 is the panoptic "
        "quality."),
    Metric("mean_true_iou", ratio, ("iou_50", "n_true"), TRUE_OBJECTS,
        f"Sum of the IoU of the pairs that match {HALF} divided by the number of true objects, "
        f"{POOLED}"),
    Metric("split_rate", ratio, ("splits", "n_true"), TRUE_OBJECTS,
        "Fraction of true objects that are split: they contain more than half of each of two or "
        "more predicted objects.", higher_is_better=False),
    Metric("merge_rate", ratio, ("merges", "n_predicted"), PREDICTED_OBJECTS,
        "Fraction of predicted objects that merge true ones: they contain more than half of each "
        "of two or more.", higher_is_better=False),
    Metric("missed_rate", ratio, ("missed", "n_true"), TRUE_OBJECTS,
        "Fraction of true objects at most half of which is covered by predicted ones, all of "
        "them together.", higher_is_better=False),
    Metric("spurious_rate", ratio, ("spurious", "n_predicted"), PREDICTED_OBJECTS,
        "Fraction of predicted objects at most half of which is inside true ones, all of them "
        "together.", higher_is_better=False),
    *_object_counts("Objects are the instances of the label images, true and predicted."),
)

BY_MODALITY = (
    "mean_ap",
    "mean_ap_pooled",
    "ap50",
    "ap50_pooled",
    "f1_50_pooled",
    "pq_pooled",
    "mean_matched_iou",
    "split_rate",
    "merge_rate",
    "missed_rate",
    "spurious_rate",
    "object_count_ratio",
)
"""Metrics of instances that are also given by modality and by group."""

# --- Confluency

AREAS = ("fov_predicted_px", "fov_true_px", "fov_area_px")
POINTS = "percentage points"


def _confluency_errors(
    over: str, support: Support, kind: str = "", band: tuple[int, int] | None = None
) -> tuple[Metric, ...]:
    """Return bias, MAE and RMSE of the confluency, over what `over` names."""
    error = "predicted - true percentage of the field of view that cells cover"
    ending = "_{}_{}".format(*band) if band else ""
    selected = partial(confluency.in_band, low=band[0], high=band[1]) if band else None
    return (
        Metric(f"confluency_{kind}bias{ending}", confluency.error, AREAS, support,
            f"Mean of {error}, over {over}: above 0 where the prediction covers too much.",
            unit=POINTS, higher_is_better=None, average="mean", selected=selected),
        Metric(f"confluency_{kind}mae{ending}", confluency.absolute_error, AREAS, support,
            f"Mean of |{error}|, over {over}.",
            unit=POINTS, higher_is_better=False, average="mean", selected=selected),
        Metric(f"confluency_{kind}rmse{ending}", confluency.error, AREAS, support,
            f"Root of the mean square of {error}, over {over}.",
            unit=POINTS, higher_is_better=False, average="root_mean_square", selected=selected),
    )


CONFLUENCY = (
    Metric("confluency", confluency.percent, ("fov_predicted_px", "fov_area_px"), AVERAGED_IMAGES,
        "Percentage of the field of view that cells cover, as predicted: mean over images.",
        unit="%", higher_is_better=None, average="mean"),
    Metric("confluency_true", confluency.percent, ("fov_true_px", "fov_area_px"), AVERAGED_IMAGES,
        "Percentage of the field of view that cells cover, in truth, which is the same for all "
        "methods: mean over images.", unit="%", higher_is_better=None, average="mean"),
    *_confluency_errors("images", AVERAGED_IMAGES),
)

CONFLUENCY_BANDS = tuple(
    metric
    for low, high in BANDS
    for metric in _confluency_errors(
        f"images of {low} to {high} % true confluency", AVERAGED_IMAGES, band=(low, high)
    )
)

GROUP_CONFLUENCY = _confluency_errors(
    "groups, all images of a group taken together", Support("groups"), "group_"
)
"""Of whole wells, slides or fields: areas are summed over the images of a group."""

# --- Classes of images

LOG_LOSS = "Mean over images of -ln of the predicted probability of the true class"
ECE = (
    "Expected calibration error: images are put into 15 bins of equal width by the probability of "
    "the predicted class; the mean over images of |fraction correct - mean probability| in their "
    "bin"
)
FITTED = "with the temperature that was fitted on validation; 0 is best."
RAW = "as the network gives it, without temperature; 0 is best."

CLASSIFICATION = (
    Metric("accuracy", classification.accuracy, ("confusion",), ALL_IMAGES,
        "Fraction of the images whose class is correct."),
    Metric("balanced_accuracy", classification.balanced_accuracy, CLASSES, ALL_IMAGES,
        "Mean of the recalls of the classes, so that rare ones count as much as frequent ones; "
        "by chance it is 1 / number of classes."),
    Metric("macro_precision", classification.macro_precision, CLASSES, ALL_IMAGES,
        "Mean of the precisions of the classes."),
    Metric("macro_f1", classification.macro_f1, CLASSES, ALL_IMAGES,
        "Mean of the F1 of the classes."),
    Metric("log_loss", classification.log_loss, ("true_probability",), AVERAGED_IMAGES,
        f"{LOG_LOSS}, {FITTED}", unit="nats", higher_is_better=False, average="mean"),
    Metric("log_loss_uncalibrated", classification.log_loss,
        ("true_probability_raw",), AVERAGED_IMAGES,
        f"{LOG_LOSS}, {RAW}", unit="nats", higher_is_better=False, average="mean"),
    Metric("ece", classification.expected_calibration_error, ("bins",), ALL_IMAGES,
        f"{ECE}, {FITTED}", higher_is_better=False),
    Metric("ece_uncalibrated", classification.expected_calibration_error,
        ("bins_raw",), ALL_IMAGES,
        f"{ECE}, {RAW}", higher_is_better=False),
    Metric("precision", pixels.precision, CLASSES, CLASS_IMAGES,
        "Fraction of the images predicted as this class that are of it: TP / (TP + FP); 0 if the "
        "class is never predicted.", by_class=True),
    Metric("recall", pixels.recall, CLASSES, CLASS_IMAGES,
        "Fraction of the images of this class that are predicted as it: TP / (TP + FN).",
        by_class=True),
    Metric("f1", pixels.f1, CLASSES, CLASS_IMAGES,
        "Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN).", by_class=True),
)

LOSS = Metric("loss", classification.penalized_log_loss,
    ("true_probability_raw", "penalty"), AVERAGED_IMAGES,
    "Log loss of the probabilities as the network gives them, plus the L2 penalty on its weights "
    "({penalty:.4f}; also added to the baselines), as Keras reports the loss.",
    unit="nats", higher_is_better=False, average="mean")
"""Of networks with a penalty on their weights; `{penalty}` is replaced by its value."""

METRICS = (
    *PIXELS,
    BLANK_LABELS,
    *REGION_COUNTS,
    *INSTANCES,
    *CONFLUENCY,
    *CONFLUENCY_BANDS,
    *GROUP_CONFLUENCY,
    *CLASSIFICATION,
    LOSS,
)
