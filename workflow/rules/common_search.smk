# Needs: the completed config. Makes: what the rules of a search call, and those that follow it.

from functools import cache

from coverslip.config import search_space
from coverslip.config import search_space

SEARCHED = sorted(name for name, study in config["studies"].items() if study["search"] is not None)
SEARCH = f"{STUDY}/search"
FOLD = f"{SEARCH}/fold{{fold}}"
RUNG = f"{FOLD}/rung{{rung}}"
TRIAL = f"{RUNG}/{{slot}}"
SEARCH_TABLES = ["trials.csv", "curves.csv", "search.json"]


@cache
def trials(study):
    """Values of all trials of a study by their keys, in the order of the draw."""
    from coverslip.config.search_space import sample  # scikit-learn, only where there is a search

    return sample(config["studies"][study]["search"])


@cache
def trial_sections(study):
    """Sections of the study as each trial has them; those of the study itself without a search."""
    own = config["studies"][study]
    if study not in SEARCHED:
        return [own]
    return [search_space.place_values(own, values) for values in trials(study)]


def search_of(study):
    """The section `search` of a study."""
    return config["studies"][study]["search"]


def architectures(study):
    """Architectures that a study may use, sorted."""
    return sorted({each["network"]["architecture"] for each in trial_sections(study)})


def trial_code(wildcards):
    """Code of trials, with the architectures that the study may use."""
    return code("tune_trial.py", *networks_of(wildcards.study))


def networks_of(study):
    """Modules of the architectures that a study may use."""
    return [f"models.networks.{name}" for name in architectures(study)]


def rung_of(wildcards):
    """Number of a rung, which has to be one of the study's."""
    rung = int(wildcards.rung)
    if rung >= len(search_space.rung_epochs(search_of(wildcards.study))):
        raise WorkflowError(f"the search of {wildcards.study} has no rung {rung}")
    return rung


def rung_epochs(wildcards):
    """Epochs of a rung."""
    return search_space.rung_epochs(search_of(wildcards.study))[rung_of(wildcards)]


def rung_trials(wildcards):
    """Files of all trials of a rung."""
    count = search_space.rung_sizes(search_of(wildcards.study))[rung_of(wildcards)]
    return expand(f"{TRIAL}/trial.json", slot=range(count), **dict(wildcards.items()))


def former_ranking(wildcards):
    """The ranking by which a rung knows its trials; on the first rung they are known."""
    rung = rung_of(wildcards)
    if rung == 0:
        return []
    return f"{RUNG}/ranking.csv".format(**{**dict(wildcards.items()), "rung": rung - 1})


def first_values(wildcards):
    """Values of a trial on the first rung; later ones take them from the ranking."""
    if rung_of(wildcards) > 0:
        return None
    return trials(wildcards.study)[int(wildcards.slot)]


def trials_at(wildcards):
    """Sections of the trials that may stand at a place of a rung."""
    every = trial_sections(wildcards.study)
    return [every[int(wildcards.slot)]] if rung_of(wildcards) == 0 else every


def varies_patches(study):
    """Whether trials of a study differ in their patches."""
    return study in SEARCHED and search_space.varies_patches(search_of(study)["space"])


def patches_for(study, sections):
    """Patch files that trainings need; they have folders of their own where they differ."""
    homes = [f"{STUDY}/patches"]
    if varies_patches(study):
        names = sorted({search_space.variant_name(each["preprocessing"]) for each in sections})
        homes = [f"{SEARCH}/patches/{name}" for name in names]
    return expand(
        [f"{home}/{{shard}}/{{file}}" for home in homes],
        study=study,
        shard=shards(study, "preprocessing"),
        file=["images.npy", "labels.npy", "index.csv"],
    )


def variant_section(wildcards):
    """The section `preprocessing` of some trials, by the name of their patches."""
    sections = [each["preprocessing"] for each in trial_sections(wildcards.study)]
    found = [each for each in sections if search_space.variant_name(each) == wildcards.variant]
    if not found:
        raise WorkflowError(f"no trial of {wildcards.study} has the patches {wildcards.variant}")
    return found[0]


def weights_for(sections):
    """Files of pretrained weights that networks begin with."""
    names = {
        pretrained.file_name(
            each["network"]["architecture"],
            each["network"]["weights"],
            each["preprocessing"]["resize"],
        )
        for each in sections
        if each["network"]["weights"] != "none"
    }
    return [f"resources/weights/{name}" for name in sorted(names)]


def trial_patches(wildcards):
    """Patch files that a trial may need."""
    return patches_for(wildcards.study, trials_at(wildcards))


def trial_weights(wildcards):
    """Pretrained weights that a trial may need."""
    return weights_for(trials_at(wildcards))


def rung_sizes(wildcards):
    """Number of trials on each rung."""
    return search_space.rung_sizes(search_of(wildcards.study))


def epochs_of_rungs(wildcards):
    """Epochs of each rung."""
    return search_space.rung_epochs(search_of(wildcards.study))


def last_ranking(wildcards):
    """The ranking of the last rung of a fold."""
    last = len(search_space.rung_epochs(search_of(wildcards.study))) - 1
    return f"{RUNG}/ranking.csv".format(rung=last, **dict(wildcards.items()))


def best_values(wildcards):
    """What the search chose for a fold; nothing for a study without a search."""
    if wildcards.study not in SEARCHED:
        return []
    return [f"{FOLD}/best.json".format(study=wildcards.study, fold=wildcards.fold)]


def best_preprocessing(wildcards):
    """What the search chose, for steps that need no more of it than the preprocessing."""
    if not varies_patches(wildcards.study):
        return []
    return [f"{FOLD}/best.json".format(study=wildcards.study, fold=0)]


def all_trials(wildcards):
    """Files of all trials of all folds and rungs, in this order."""
    study = wildcards.study
    return [
        f"{TRIAL}/trial.json".format(study=study, fold=fold, rung=rung, slot=slot)
        for fold in range(config["studies"][study]["split"]["folds"])
        for rung, count in enumerate(search_space.rung_sizes(search_of(study)))
        for slot in range(count)
    ]


def search_tables(wildcards):
    """Tables of the search of a study, for its figures and the report."""
    if wildcards.study not in SEARCHED:
        return []
    return expand(f"{SEARCH}/{{file}}", study=wildcards.study, file=SEARCH_TABLES)


def report_searches(wildcards):
    """Summaries of the searches of all studies that run."""
    searched = [study for study in STUDIES if study in SEARCHED]
    return expand(f"{SEARCH}/search.json", study=searched)
