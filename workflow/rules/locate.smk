# Needs: nothing. Makes: WORKFLOW, the folder of this workflow on this machine, and its package.

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.sourcecache import HostingProviderFile, LocalSourceFile


def workflow_folder():
    """Folder of this workflow, of a clone or an installation, or as Snakemake cached it.

    Snakemake copies only files that it is asked for from GitHub or GitLab. Here it is asked for all
    of them: scripts import the package, which reads templates. The copies are a tree like that of
    the repository, so that all else is as in a clone.
    """
    here = workflow.current_basedir
    if isinstance(here, LocalSourceFile):
        return Path(here).resolve().parent
    if not isinstance(here, HostingProviderFile):
        raise WorkflowError(
            f"{here}: coverslip cannot be run from there: use the path of a clone, or "
            "github(...), gitlab(...) (docs/how-to/deploy.md)"
        )
    top = Path(here.path).parent
    listed = here.hosted_repo.repo.git.ls_tree("-r", "--name-only", here.ref, str(top))
    for file in listed.splitlines():
        workflow.source_path(os.path.relpath(file, here.path))
    folder = Path(workflow.source_path("locate.smk")).resolve().parents[1]
    # Files of models are binary, and Snakemake fetches text.
    models = top.parent / "resources/models"
    for blob in here.hosted_repo.repo.tree(here.ref).join(str(models)).traverse():
        file = folder.parent / "resources/models" / Path(blob.path).relative_to(models)
        if blob.type == "blob" and not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_name(f"{file.name}.{os.getpid()}")
            part.write_bytes(blob.data_stream.read())
            part.replace(file)
    return folder


WORKFLOW = workflow_folder()
SCRIPTS = WORKFLOW / "scripts"
# An installation has the package elsewhere, where Python finds it.
if (SCRIPTS / "coverslip").is_dir():
    sys.path.insert(0, str(SCRIPTS))
# Jobs see by these that they import the same package, and where it is from.
os.environ.update(
    COVERSLIP_WORKFLOW=str(WORKFLOW),
    COVERSLIP_SOURCE=(
        ""
        if isinstance(workflow.current_basedir, LocalSourceFile)
        else str(workflow.current_basedir)
    ),
)
