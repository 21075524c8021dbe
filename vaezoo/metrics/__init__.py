"""Scores as pure functions of arrays; see `vaezoo.metrics.protocol` for how they are called.

    from vaezoo.metrics import mig_hist, dci_gbt

loads numpy, scipy and scikit-learn when a function is asked for, and never torch. No file is called after a function in
it, so a name here is a function or a file, whatever was imported before.
"""

from importlib import import_module
from typing import Any

FILES = {
    "agreement": ("udr",),
    "attributes": ("attribute_vectors", "top_attributes"),
    "clusters": ("cluster_cnn", "clustering", "kmeans"),
    "correlations": ("correlation",),
    "dci": ("dci_gbt", "dci_gbt_2k", "dci_hgb", "dci_lasso"),
    "decomposition": ("kl_decomposition",),
    "higgins": ("higgins_logistic", "higgins_svm"),
    "mig": ("mig_exact", "mig_hist", "mig_sampled"),
    "mutual_info": ("mis",),
    "neighbours": ("knn_purity",),
    "probe": ("probe_attributes", "probe_linear", "probe_logistic"),
    "ridgeway_mozer": ("explicitness", "modularity"),
    "robustness": ("irs",),
    "sap": ("sap_continuous", "sap_discrete"),
    "total_correlation": ("gtc", "gwc"),
    "units": ("active_units",),
    "votes": ("factor_vae", "factor_vae_paper"),
}
FUNCTIONS = {function: file for file, functions in FILES.items() for function in functions}


def __getattr__(name: str) -> Any:
    if name not in FUNCTIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{FUNCTIONS[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *FUNCTIONS])
