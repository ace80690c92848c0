from pathlib import Path

from coverslip.configuration.config import Source
from coverslip.data import sources
from coverslip.job import job

with job(snakemake):
    # Parameters are what names the archive. Its pinned digest and the number of retries are not:
    # to pin the digest of an archive that is there already must not download it again.
    source = snakemake.config["datasets"][snakemake.wildcards.dataset]["source"]
    sources.download(Source(**source), Path(snakemake.output[0]))
