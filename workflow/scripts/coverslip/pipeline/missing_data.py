"""Why the data of a dataset are not there, and how to get them; only looks whether files exist."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coverslip.pipeline import paths

KAGGLE_VARIABLES = ("KAGGLE_API_TOKEN", "KAGGLE_KEY")

GET_CREDENTIALS = "set KAGGLE_API_TOKEN or put kaggle.json into ~/.kaggle"


def has_kaggle_credentials(home: Path | None = None) -> bool:
    """Return whether credentials of Kaggle are set; their values are not read."""
    home = Path.home() if home is None else home
    folder = Path(os.environ.get("KAGGLE_CONFIG_DIR") or home / ".kaggle")
    files = (folder / "kaggle.json", folder / "access_token")
    return any(os.environ.get(name) for name in KAGGLE_VARIABLES) or any(
        path.is_file() for path in files
    )


def missing_data(dataset: str, source: Mapping[str, Any], archive: str | None) -> str | None:
    """Return what of a dataset is missing and how to get it; none where nothing is.

    Args:
        dataset: its name.
        source: its section `source`.
        archive: name of the archive of a dataset from Kaggle.
    """
    if Path(paths.STORE.format(dataset=dataset)).exists():
        return None  # the archive is needed no more
    if source["kind"] == "path" and not Path(source["path"]).exists():
        return f"{source['path']} is missing: put the archive or folder there, or fix `source.path`"
    if source["kind"] == "kaggle" and not has_kaggle_credentials():
        file = paths.RAW.format(archive=archive)
        page = f"competitions/{source['competition']}"
        page = f"datasets/{source['dataset']}" if source["dataset"] else page
        if not Path(file).exists():
            return f"{file} is missing: {GET_CREDENTIALS}, or download kaggle.com/{page} to there"
    return None


def missing_labels(model: Mapping[str, Any] | None) -> str | None:
    """Return that the folder of label images of a study is missing; none where it is there.

    Args:
        model: the section `model` of the study.
    """
    if model is None or model["kind"] != "labels" or Path(model["path"]).is_dir():
        return None
    return f"{model['path']} is missing: put the label images there, or fix `model.path`"
