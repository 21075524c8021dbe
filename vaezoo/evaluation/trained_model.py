"""The trained model of a run, ready to compute."""

from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from vaezoo.errors import UserError
from vaezoo.evaluation import calibration
from vaezoo.models.base import LatentModel
from vaezoo.runs.folder import refuse_configuration
from vaezoo.runs.provenance import check_data
from vaezoo.runs.weights import BATCH_NORMS, load_weights, read_tensors, restore_weights


def build_trained(config: DictConfig, folder: Path, checkpoint: str = "last") -> LatentModel:
    """Return the model of a run with its trained weights, in single precision and on the CPU.

    Raises UserError where the run has no such checkpoint, or one of another model.
    """
    weights = load_weights(folder, checkpoint)
    try:
        model: LatentModel = instantiate(config.model)
    except UserError:
        raise
    except Exception as error:  # The constructors of a damaged configuration may raise anything.
        raise refuse_configuration(folder, error) from error
    restore_weights(model, weights, folder)
    return model.float()


def calibrate(model: LatentModel, config: DictConfig, folder: Path) -> None:
    """Give the encoder the batch statistics of real images, which a model that is trained on generated ones needs.

    A shared run holds them; otherwise they are estimated on the data of the run.
    """
    if (folder / BATCH_NORMS).is_file():
        restore_weights(model, {**model.state_dict(), **read_tensors(folder, BATCH_NORMS)}, folder)
        return
    data = instantiate(config.dataset)
    data.setup()
    check_data(folder, data.source.identity)
    data.place(next(model.parameters()).device)
    calibration.recalibrate(model, calibration.real_batches(data, config.seed))
