"""From the images of a file to planes: which channel, which depths, and what each is called.

Every reader describes what is in a file as scenes (a series of a TIFF, a position of a stage, a
field of a well). The choice of channel and depth is made here, once for all formats.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from coverslip.data.readers.planes import Plane, check_pixels, check_planes, check_size, failed
from coverslip.data.readers.raster import (
    Projected,
    Unread,
    WithoutAlpha,
    focus_score,
    integer_rows,
    mapped,
)
from coverslip.errors import CoverslipError
from coverslip.imaging.rows import Rows

PIXELS = 500_000_000
"""Largest number of pixels of an image that is held in memory whole."""

NAMES = {"T": "t", "Z": "z"}
"""Short names of axes: time and depth; all others are pages, `p`."""

COLORS = ("red", "green", "blue")

DEEP_COLORS = (
    "three channels of 16 bits were taken for red, green and blue: choose one with `channel` if "
    "they are not"
)

TRANSPARENT = "the last channel was taken for transparency and left out"

NEAR_NM = 20.0
"""A wavelength means the channel whose emission or excitation is nearest, up to this distance."""

WAVELENGTHS_NM = range(200, 2001)
"""Whole numbers for `channel` that are wavelengths; smaller ones are indices."""

MOST_CHANNELS = 1000
"""Most channels of an image: all of them are read with each plane."""


@dataclass(frozen=True)
class Channel:
    """What a file states about one of its channels."""

    name: str = ""
    wavelengths_nm: tuple[float, ...] = ()
    """Emission and excitation, as far as they are stated."""


@dataclass(frozen=True)
class Scene:
    """Images of one field of view: planes along further axes."""

    lengths: Mapping[str, int]
    """Axes besides height, width and colour with their lengths, in the order of the file: `C`
    channels, `Z` depths, `T` times, any other letter."""
    read: Callable[[Mapping[str, int]], Rows | None]
    """Rows of the plane at an index of each axis, HxWx1 or HxWx3 (RGB); none where it is in another
    file."""
    name: str = ""
    """Its name, where the file has several."""
    channels: Sequence[Channel] = ()
    pixel_um: tuple[float, float] | None = None
    """Height and width of a pixel in micrometres."""
    times: Sequence[float] = ()
    """Times along the axis `T`; none: numbers of frames."""
    note: str = ""


@dataclass(frozen=True)
class Selection:
    """What is wanted from a file."""

    channel: int | str | None = None
    """Index from 0, wavelength in nm (from 200 on) or name; none: grey and RGB as they are."""
    z: int | str = "all"
    """`all` depths, their maximum (`max`), the sharpest (`focus`), or one by its number from 1."""
    whole: int = PIXELS
    """Planes of more pixels are given as rows."""
    pixels: int = PIXELS
    """Most pixels of an image that is held in memory whole."""


def scene_planes(scene: Scene, selection: Selection, number: Iterator[int]) -> Iterator[Plane]:
    """Yield the planes of a scene.

    Args:
        scene: the scene.
        selection: which channel and depths.
        number: gives the numbers of the planes.
    """
    lengths = dict(scene.lengths)
    check_planes(prod(lengths.values()))
    if lengths.get("C", 1) > MOST_CHANNELS:
        raise CoverslipError(
            f"its header states {lengths['C']:,} channels, more than {MOST_CHANNELS:,}: it is "
            "damaged"
        )
    names = channel_names(scene.channels, lengths.get("C", 1))
    try:
        channel = choose_channel(selection.channel, scene.channels, lengths.get("C", 1))
        depths, projection = choose_depths(selection.z, lengths.get("Z", 1))
    except CoverslipError as error:
        yield failed(error, next(number), scene.name)
        return
    times = scene.times if all(map(math.isfinite, scene.times)) else ()
    walked = [a for a in lengths if a != "C" and not (a == "Z" and selection.z != "all")]
    for place in np.ndindex(*(lengths[axis] for axis in walked)):
        at = dict(zip(walked, place, strict=True))
        label = [f"{NAMES.get(a, 'p')}{at[a] + 1}" for a in walked if lengths[a] > 1]
        if lengths.get("Z", 1) > 1 and "Z" not in at and not projection:
            label.append(f"z{depths[0] + 1}")
        facts: dict[str, Any] = {"plane": " ".join([scene.name, *label]).strip()}
        facts["pixel_um"] = scene.pixel_um
        if lengths.get("T", 1) > 1:
            facts["time"] = float(times[at["T"]] if times else at["T"])
            facts["time_unit"] = "h" if times else "frame"
        index = next(number)
        chosen = [at | {"Z": z} for z in depths] if "Z" in lengths and "Z" not in at else [at]
        try:
            plane = _read(scene, chosen, projection, names, channel, selection)
        except Unread as error:
            plane = error.plane
        except Exception as error:  # one damaged plane leaves the others readable
            plane = failed(error, index)
        if plane is not None:
            yield replace(plane, page=index, **facts)


def choose_channel(wanted: int | str | None, channels: Sequence[Channel], count: int) -> int | None:
    """Return the index of the channel that is wanted; none where all is to be taken as it is.

    Args:
        wanted: see `Selection.channel`.
        channels: what the file states about its channels, if anything.
        count: number of channels.

    Raises:
        CoverslipError: there are several and none is chosen, or there is no such channel.

    Examples:
        >>> choose_channel("gfp", [Channel("DAPI", (461,)), Channel("GFP", (509,))], 2)
        1
        >>> choose_channel(460, [Channel("DAPI", (461,)), Channel("GFP", (509,))], 2)
        0
    """
    if wanted is None:
        if count > 1:
            raise CoverslipError(which_channel(count, channels))
        return None
    known = list(channels[:count])
    if isinstance(wanted, str):
        found = [i for i, each in enumerate(known) if each.name.casefold() == wanted.casefold()]
        found = found or [
            i for i, each in enumerate(known) if wanted.casefold() in each.name.casefold()
        ]
        if len(found) == 1:
            return found[0] if count > 1 else None
        if count == 1 and not any(each.name for each in known):
            return None if wanted.casefold() not in COLORS else COLORS.index(wanted.casefold())
        raise CoverslipError(no_channel(wanted, count, channels))
    if wanted in WAVELENGTHS_NM and wanted >= count:
        away = [
            (min(abs(nm - wanted) for nm in each.wavelengths_nm), i)
            for i, each in enumerate(known)
            if each.wavelengths_nm
        ]
        if away and min(away)[0] <= NEAR_NM:
            return min(away)[1] if count > 1 else None
        raise CoverslipError(no_channel(f"of {wanted} nm", count, channels))
    if count > 1 and wanted >= count:
        raise CoverslipError(no_channel(wanted, count, channels))
    return wanted


def choose_depths(wanted: int | str, count: int) -> tuple[list[int], str]:
    """Return the depths (from 0) of a plane, and the projection: `max`, `focus` or none.

    Raises:
        CoverslipError: there is no such depth.
    """
    if count == 1 or wanted == "all":
        return [0], ""
    if isinstance(wanted, str):
        return list(range(count)), wanted
    if not 1 <= wanted <= count:
        raise CoverslipError(f"has no depth {wanted}, only 1 to {count}: fix `z`")
    return [wanted - 1], ""


def channel_names(channels: Sequence[Channel], count: int) -> list[str]:
    """Names of all channels, each once: as the file states them, or `ch0`, `ch1`, ..."""
    names: list[str] = []
    for index in range(count):
        name = channels[index].name.strip() if index < len(channels) else ""
        name = name or f"ch{index}"
        names.append(name if name not in names else f"{name}_{index}")
    return names


def _read(
    scene: Scene,
    places: Sequence[Mapping[str, int]],
    projection: str,
    names: Sequence[str],
    channel: int | None,
    selection: Selection,
) -> Plane | None:
    """One plane with all its channels."""
    several = len(names) > 1
    main = channel if several and channel is not None else 0
    notes = [scene.note]

    def stack(index: int) -> list[Rows] | None:
        rows = [scene.read({**at, "C": index} if several else at) for at in places]
        found = [each for each in rows if each is not None]
        if not found:
            return None
        height, width, _ = found[0].shape
        check_size(height, width)
        if height * width <= selection.whole:
            check_pixels(height, width, selection.pixels)
        return found

    measured = stack(main)
    if measured is None:
        return None
    if projection == "focus":
        best = int(np.argmax([focus_score(rows) for rows in measured]))
        notes.append(f"the sharpest of {len(places)} depths: z{places[best]['Z'] + 1}")
        places, measured = [places[best]], [measured[best]]
    elif projection == "max":
        notes.append(f"maximum of {len(places)} depths")
    found: dict[str, Rows] = {}
    for index, name in enumerate(names):
        rows = measured if index == main else stack(index)
        if rows is not None:
            one = rows[0] if len(rows) == 1 else Projected(rows)
            found[name], note = integer_rows(one)
            notes.append(note and (f"{name}: {note}" if several else note))
    image = found[names[main]]
    named = bool(scene.channels and scene.channels[0].name)
    chosen = names[main] if several or named else ""
    if image.shape[2] == 3:
        if channel is None and isinstance(selection.channel, str):
            notes.append(
                f"has colours and no channel names, so `{selection.channel}` did not choose one"
            )
        chosen = "" if channel is None else _color(channel)
        if not chosen and image.dtype == np.uint16:
            notes.append(DEEP_COLORS)
        found = {name: _sample(image, i) for i, name in enumerate(COLORS)}
    elif not chosen:
        found = {}
    alpha = measured[0] if isinstance(measured[0], WithoutAlpha) else None
    height, width, count = image.shape
    if height * width > selection.whole:
        note = _joined([*notes, TRANSPARENT if alpha else None])
        image = found.get(chosen, image)
        return Plane(1, rows=image, channels=found, channel=chosen, note=note)
    if count == 3:
        pixels = np.ascontiguousarray(image.rows(0, height))
        arrays = {name: pixels[:, :, i] for i, name in enumerate(COLORS)}
    else:
        arrays = {name: rows.rows(0, height)[:, :, 0] for name, rows in found.items()}
        pixels = image.rows(0, height) if not chosen else arrays[chosen][:, :, np.newaxis]
    if count == 3 and chosen:
        pixels = arrays[chosen][:, :, np.newaxis]
    note = _joined([*notes, TRANSPARENT if alpha and alpha.varied else ""])
    return Plane(1, np.ascontiguousarray(pixels), channels=arrays, channel=chosen, note=note)


def _joined(notes: Sequence[str | None]) -> str:
    return "; ".join(dict.fromkeys(note for note in notes if note))


def _color(index: int) -> str:
    if index >= len(COLORS):
        raise CoverslipError(no_channel(index, 3, list(map(Channel, COLORS))))
    return COLORS[index]


def _sample(rows: Rows, index: int) -> Rows:
    return mapped(rows, lambda part: part[:, :, index : index + 1], 1, rows.dtype)


def no_channel(wanted: int | str, count: int, channels: Sequence[Channel] = ()) -> str:
    """Words for a channel that is not there."""
    what = f"`{wanted}`" if isinstance(wanted, str) and not wanted.startswith("of ") else wanted
    named = f" ({_listed(channels, count)})" if any(each.name for each in channels) else ""
    there = "only channel 0" if count == 1 else f"only 0 to {count - 1}"
    return f"has no channel {what}, {there}{named}: fix `channel`"


def which_channel(count: int, channels: Sequence[Channel] = ()) -> str:
    """Words for an image of several channels, none of which was chosen."""
    named = f" ({_listed(channels, count)})" if any(each.name for each in channels) else ""
    return (
        f"holds {count} channels{named}: choose one with `channel` (index from 0, name, or "
        "wavelength in nm)"
    )


def _listed(channels: Sequence[Channel], count: int) -> str:
    shown = []
    for name, each in itertools.zip_longest(channel_names(channels, count)[:8], channels[:8]):
        nm = f" {each.wavelengths_nm[0]:g} nm" if each and each.wavelengths_nm else ""
        shown.append(f"{name}{nm}")
    return ", ".join(shown)
