"""Which scores a report shows, and which of them make a rank."""

from collections.abc import Sequence

from vaezoo.errors import UserError, nearest
from vaezoo.metrics.directions import DISENTANGLEMENT, direction, easy, matches
from vaezoo.reporting.reading import Run

# Scores that repeat another column of the leaderboard, perhaps in other units; report.csv has them.
REPEATED = (
    "rec",
    "recon_mae",
    "recon_bce",
    "recon_sse",
    "*_exemplar",
    "*_train_map",
    "*_a2a",
    "attributes_accuracy",
    "cluster_acc_majority",
    "kmeans_acc_majority",
)
RECONSTRUCTION = ("recon_mse", "recon_sse", "recon_bce", "recon_mae", "rec")


def list_scores(runs: Sequence[Run]) -> list[str]:
    """Return the names of all scores that any run has, in the order of their first appearance."""
    return list(dict.fromkeys(name for run in runs for name in run.scores))


def check_scores(key: str, names: Sequence[str], available: Sequence[str]) -> None:
    """Raise UserError for the first name that no run has as a score; `key` is the setting that names it."""
    for name in names:
        if name not in available:
            hint = nearest(name, available) or f" They have {', '.join(available) or 'none'}."
            raise UserError(f"{key}: none of the runs has a score called {name}.{hint}")


def select_headline(names: Sequence[str]) -> list[str]:
    """Return the default columns of a leaderboard: scores with a direction, none of them twice.

    Scores of disentanglement come first, and scores that are best for codes without information come last.
    """
    whole = [name for name in names if "/" not in name and direction(name) and not matches(name, REPEATED)]
    whole = [name for name in whole if not (name.endswith("_continuous") and name.removesuffix("_continuous") in names)]
    return sorted(whole, key=lambda name: (easy(name), not matches(name, DISENTANGLEMENT), names.index(name)))


def select_ranked(names: Sequence[str], named_by_user: bool) -> list[str]:
    """Return the scores that make the rank of a setting; all of them have a direction.

    Unless the user named the scores, the rank leaves out the scores that codes without information win, and UDR,
    because a report compares UDR with the ranked scores.
    """
    usual = [name for name in names if named_by_user or not (easy(name) or name.startswith("udr_"))]
    return [name for name in usual if direction(name)]
