"""Which scores a report shows, and which of them make a rank."""

from collections.abc import Sequence

from vaezoo.errors import UserError, nearest
from vaezoo.metrics.directions import CONTINUOUS, DISENTANGLEMENT, EASY, REPEATED, Directions, find_direction
from vaezoo.reporting.reading import Run

RECONSTRUCTION = ("recon_mse", "recon_sse", "recon_bce", "recon_mae", "rec")


def list_scores(runs: Sequence[Run]) -> list[str]:
    """Return the names of all scores that any run has, in the order of their first appearance."""
    return list(dict.fromkeys(name for run in runs for name in run.scores))


def collect_directions(runs: Sequence[Run]) -> Directions:
    """Return the directions that the runs have recorded; the last run counts where they differ."""
    return {name: direction for run in runs for name, direction in run.directions.items()}


def check_scores(key: str, names: Sequence[str], available: Sequence[str]) -> None:
    """Raise UserError for the first name that no run has as a score; `key` is the setting that names it."""
    for name in names:
        if name not in available:
            hint = nearest(name, available) or f" They have {', '.join(available) or 'none'}."
            raise UserError(f"{key}: none of the runs has a score called {name}.{hint}")


def select_headline(names: Sequence[str], recorded: Directions) -> list[str]:
    """Return the default columns of a leaderboard: scores with a direction, none of them twice.

    Scores of disentanglement come first, and scores that are best for codes without information come last.
    `recorded` are the directions that the runs have recorded.
    """
    groups = {
        name: direction.group
        for name in names
        if "/" not in name
        and not (name.endswith(CONTINUOUS) and name.removesuffix(CONTINUOUS) in names)
        and (direction := find_direction(name, recorded))
        and direction.group != REPEATED
    }
    return sorted(groups, key=lambda name: (groups[name] == EASY, groups[name] != DISENTANGLEMENT))


def select_ranked(names: Sequence[str], recorded: Directions, named_by_user: bool) -> list[str]:
    """Return the scores that make the rank of a setting; all of them have a direction.

    Unless the user named the scores, the rank leaves out the scores that codes without information win, and UDR,
    because a report compares UDR with the ranked scores.
    """
    directions = {name: direction for name in names if (direction := find_direction(name, recorded))}
    return [
        name
        for name, direction in directions.items()
        if named_by_user or not (direction.group == EASY or name.startswith("udr_"))
    ]
