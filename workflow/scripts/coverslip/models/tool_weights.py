"""Download published models of other people's tools, with a digest.

A file that was put at its place by hand is used as it is.
"""

from __future__ import annotations

import logging
from pathlib import Path

from coverslip.errors import CoverslipError
from coverslip.files import atomic_write, read_sha256
from coverslip.models.pretrained import fetch
from coverslip.models.tool import DIGEST, noted_digest

LOG = logging.getLogger("coverslip")


def download(output: Path, address: str, sha256: str | None) -> None:
    """Download a model; note its SHA-256 in the file `<output>.sha256`.

    Args:
        output: the file to write.
        address: of the published file.
        sha256: expected digest; none: that of an earlier download, if it was noted.

    Raises:
        CoverslipError: it cannot be downloaded, or is another file than the expected one.
    """
    noted = Path(f"{output}{DIGEST}")
    sha256 = sha256 or noted_digest(output)
    LOG.info("%s: downloading %s", output, address)
    with atomic_write(output) as part:
        fetch(address, part, output, "name a model that you have in `model.model`")
        digest = read_sha256(part)
        if sha256 not in (None, digest):
            raise CoverslipError(
                f"{output}: {address} has SHA-256 {digest}, expected {sha256}: it is another file "
                f"than before; if that is right, remove {noted}, or put the file there by hand"
            )
    LOG.info("%s: SHA-256 of the download is %s", output, digest)
    with atomic_write(noted) as part:
        part.write_text(f"{digest}  {output.name}\n", encoding="utf-8")
