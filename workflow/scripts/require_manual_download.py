from coverslip.data import download
from coverslip.runtime.run_script import run_script

with run_script(snakemake):
    download.refuse_missing(
        snakemake.wildcards.dataset, snakemake.params.path, snakemake.params.others
    )
