from pathlib import Path
from types import SimpleNamespace

from coverslip.config.search_space import place_values
from coverslip.runtime.run_record import identity
from coverslip.runtime.run_script import LOG, run_script
from coverslip.training import halving

with run_script(snakemake, reuse=True) as facts:
    if "reused" not in facts:
        params, files = snakemake.params, snakemake.input
        number, values = int(snakemake.wildcards.slot), params.get("values")
        if values is None:
            number, values = halving.trial_at(Path(files.ranking), number)
        sections = place_values(halving.training_sections(params.sections, []), values)
        patches = halving.patch_folders(files.patches, sections["preprocessing"])
        weights = halving.weights_file(
            files.weights, sections["network"], sections["preprocessing"]
        )
        # A trial depends neither on its rung and place there, nor on other trials.
        own = [path for path in files.patches if Path(path).parent in patches]
        own += [files.split, *([weights] if weights else [])]
        names = {"study": snakemake.wildcards.study, "fold": snakemake.wildcards.fold}
        given = sections | {"seed": params.seed, "code": params.code}
        key = identity(SimpleNamespace(params=given, wildcards=names, input=own))
        facts |= halving.run_trial(
            halving.Trial(
                number=number,
                values=values,
                sections=sections,
                patches=tuple(patches),
                split=Path(files.split),
                fold=int(snakemake.wildcards.fold),
                seed=params.seed,
                weights_file=weights,
            ),
            epochs=params.epochs,
            state=Path("results/state/search") / snakemake.wildcards.study / key[:16],
            identity=key,
            output=Path(snakemake.output.trial).parent,
            threads=snakemake.threads,
            report=LOG.info,
        )
