from coverslip.errors import CoverslipError
from coverslip.runtime.run_script import run_script

with run_script(snakemake):
    raise CoverslipError(snakemake.params.reason)
