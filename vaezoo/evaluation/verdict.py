"""Say in words what the scores of a run mean, and what to try next."""

from collections.abc import Mapping

import numpy as np

from vaezoo.evaluation.scores import Scores
from vaezoo.metrics.directions import DISENTANGLEMENT

STILL_FALLING = 0.02  # of the whole fall of the loss, in the last quarter of the training
VALIDATIONS = 8  # the fewest that show whether the loss still falls

COLLAPSED = (
    "No latent varies with the image (posterior collapse): reconstructions and traversals show one image. Try a smaller"
    " weight of the KL, a larger learning rate, or more batches."
)
UNFINISHED = "The loss of the validation still fell in the last quarter: with more batches the scores will change."


def describe_scores(scores: Scores, history: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> list[str]:
    """Return sentences about a run, at most three: collapse, disentanglement above chance, a budget that is too short.

    `history` has the columns of metrics.csv, or is empty. There is no sentence about what was not computed.
    """
    sentences = []
    if scores.values.get("eval/active_units") == 0:
        sentences.append(COLLAPSED)
    elif judged := [key for key in scores.floors if scores.directions[key].group == DISENTANGLEMENT]:
        sentences.append(compare_with_floors(scores, judged))
    if still_falls(*history.get("val/loss", (np.empty(0), np.empty(0)))):
        sentences.append(UNFINISHED)
    return sentences


def compare_with_floors(scores: Scores, keys: list[str]) -> str:
    """Return how many of these scores of disentanglement are better than those of codes without information."""
    above = [key.removeprefix("eval/") for key in keys if not scores.is_at_floor(key)]
    if not above:
        return "No score of disentanglement is better than that of codes without information."
    if len(above) == len(keys):
        return "All scores of disentanglement are better than those of codes without information."
    return (
        f"{len(above)} of {len(keys)} scores of disentanglement are better than those of codes without information:"
        f" {', '.join(above)}."
    )


def still_falls(batches: np.ndarray, losses: np.ndarray) -> bool:
    """Return whether a loss, at these batches, fell by more than a fiftieth of its whole fall in the last quarter."""
    if len(losses) < VALIDATIONS or not np.isfinite(losses).all():
        return False
    late = losses[np.searchsorted(batches, batches[0] + 0.75 * (batches[-1] - batches[0]))]
    whole = losses[0] - losses[-1]
    return bool(whole > 0 and late - losses[-1] > STILL_FALLING * whole)
