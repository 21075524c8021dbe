"""The accuracy of the linear classifier that was trained beside the model."""

import numpy as np

from vaezoo.metrics.directions import Better
from vaezoo.metrics.protocol import Result


@Better(higher=("classifier_accuracy",))
def classifier(
    test_class_logits: np.ndarray,
    test_labels: np.ndarray,
    train_class_logits: np.ndarray | None = None,
    train_labels: np.ndarray | None = None,
) -> Result:
    """Compute the share, in [0, 1], of images whose class has the largest logit.

    Logits are (M, classes), from the posterior mean of each image, and labels (M,). `train_accuracy` is over the
    evaluated rows that are not held out.
    """
    result: Result = {"accuracy": float((test_class_logits.argmax(axis=1) == test_labels).mean())}
    if train_class_logits is not None and train_labels is not None:
        result["train_accuracy"] = float((train_class_logits.argmax(axis=1) == train_labels).mean())
    return {f"classifier_{name}": share for name, share in result.items()}
