"""Which way a score is better. The one place that says so; what reads it are reports and searches.

Names are those of metrics.json without "eval/"; a score of the Gaussian latents alone, NAME_continuous, goes as NAME.
"""

from fnmatch import fnmatchcase

# What a paper's figure calls disentanglement, in the order in which a report shows it.
DISENTANGLEMENT = (
    "mig_*",
    "sap_*",
    "dci_*",
    "factor_vae*",
    "higgins_*",
    "modularity",
    "explicitness",
    "irs",
    "udr_lasso*",
    "udr_spearman*",
)
HIGHER = (
    *DISENTANGLEMENT,
    "elbo",
    "rec",
    "iwae_*",
    "cluster_acc_*",
    "cluster_cnn_acc",
    "cluster_nmi",
    "cluster_ari",
    "kmeans_acc_*",
    "kmeans_nmi",
    "kmeans_ari",
    "knn_purity",
    "classifier_accuracy",
    "probe_*",
    "attributes_accuracy",
    "attributes_balanced",
)
# Codes that say nothing have the best values of these: an arrow, but no say in a ranking.
EASY = ("correlation", "kl_tc", "gtc", "gwc", "mis")
LOWER = (
    *EASY,
    "recon_*",
    "fid*",
    "kid*",
    "ffd64_*",
    "kfd64_*",
    "dci_lasso/informativeness",  # an error; of the trees it is an accuracy
)
# Beside a score, about it: how many, how sure, at chance.
ASIDE = (
    "*/sd",
    "*_error",
    "*_images",
    "*/chance",
    "*/active*",
    "*/train*",
    "*_train",
    "*/majority",
    "*/kept_codes",
    "*/used",
    "*_floor",
    "*_noise",
    "ffd64_*_accuracy",
    "*/constant_codes",
    "*/normalised",
)


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    names = (name, name.removesuffix("_continuous"))
    return any(fnmatchcase(one, pattern) for one in names for pattern in patterns)


def direction(name: str) -> int:
    """1 where higher is better, -1 where lower is, 0 where neither can be said."""
    name = name.removeprefix("eval/")
    if matches(name, ASIDE):
        return 0
    return -1 if matches(name, LOWER) else 1 if matches(name, HIGHER) else 0


def easy(name: str) -> bool:
    """Whether codes that say nothing have the best value."""
    return matches(name.removeprefix("eval/"), EASY)
