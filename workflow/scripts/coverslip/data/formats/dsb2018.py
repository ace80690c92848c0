"""The layout of the 2018 Data Science Bowl: a folder an image, one mask image a nucleus.

    <anything>/<id>/images/<image>
    <anything>/<id>/masks/<one image a nucleus>

The id is the name of the folder. In the competition's own archive, packed or unpacked, only
`stage1_train` (a zip file or a folder) is read: its other parts have no masks. Caicedo et al.,
"Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl", Nature Methods 16,
2019.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from coverslip.config.sections import Dataset
from coverslip.data.archive import Archive
from coverslip.data.formats import Sample, check_not_empty, expand_nested, is_image, raise_unusable
from coverslip.errors import CoverslipError

TRAINING = "stage1_train"


def records(archive: Archive, dataset: Dataset) -> Iterator[Sample]:
    """Yield one record an image.

    Raises:
        CoverslipError: no image, an image without mask, a mask without image, or several
            images in one folder.
    """
    expand_nested(archive, f"{TRAINING}.zip")
    folders = group_members(archive.members())
    expected = "<id>/images/<image> and <id>/masks/<one image a nucleus>"
    check_not_empty(archive, folders, expected)
    for images, _ in folders.values():
        if len(images) > 1:
            raise CoverslipError(
                f"{archive.path}: two images in one folder: {images[0]} and {images[1]}: "
                "keep one image in each images folder"
            )
    raise_unusable(
        archive,
        "image without mask",
        (images[0] for images, masks in folders.values() if not masks),
        "add its masks (an all-black one where there are no nuclei) or remove the image",
    )
    raise_unusable(
        archive,
        "mask without image",
        (masks[0] for images, masks in folders.values() if not images),
        "add the image or remove the mask",
    )
    for root, (images, masks) in folders.items():
        yield Sample(root.rpartition("/")[2], images[0], tuple(masks))


def group_members(members: list[str]) -> dict[str, tuple[list[str], list[str]]]:
    """Map the folder of each image to the members in its `images` and in its `masks`."""
    split = [member.rsplit("/", 2) for member in members if is_image(member)]
    split = [parts for parts in split if len(parts) == 3 and parts[1] in ("images", "masks")]
    training = [parts for parts in split if in_training(parts[0])]
    found: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for parts in training or split:
        found[parts[0]][parts[1] == "masks"].append("/".join(parts))
    return found


def in_training(root: str) -> bool:
    """Return whether an image's folder is in the competition's training part."""
    return any(part in (TRAINING, f"{TRAINING}.zip") for part in root.split("/")[:-1])
