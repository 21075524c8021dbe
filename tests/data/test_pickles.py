"""Files that numpy and PyTorch would unpickle: whatever they hold, nothing in them is executed."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.own_data import refusal
from vaezoo.data.files import prepare
from vaezoo.errors import UserError
from vaezoo.evaluation import codes_file, features
from vaezoo.evaluation.table import LatentTable
from vaezoo.runs.weights import load_checkpoint


class Trap:
    """Makes a folder when it is unpickled."""

    def __reduce__(self):
        return (Path.mkdir, (Path("trapped"),))


def numpy_file(path: str, **good: np.ndarray) -> Path:
    """A .npy file that is a trap, or a .npz file of which `factors` and `codes` are."""
    trap = np.array([Trap()], dtype=object)
    file = Path(path)
    np.save(file, trap) if file.suffix == ".npy" else np.savez(file, **good, factors=trap, codes=trap)
    return file


def torch_file(path: str) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    trap = Trap()  # one, which is unpickled once
    torch.save(dict.fromkeys(("state_dict", "network", "accuracy"), trap), path)
    return Path(path)


def test_the_traps_work_where_pickles_are_loaded(in_tmp):
    np.load(numpy_file("a.npy"), allow_pickle=True)
    assert Path("trapped").is_dir()
    Path("trapped").rmdir()
    torch.load(torch_file("a.pt"), weights_only=False)
    assert Path("trapped").is_dir()


def test_nothing_in_a_file_is_executed(in_tmp):
    images = np.zeros((20, 1, 8, 8), np.uint8)
    assert "dataset=arrays" in refusal(str(numpy_file("own.npy")))
    assert "dataset=arrays" in refusal(str(numpy_file("own.npz", images=images)))
    Path("bare.npy").write_bytes(pickle.dumps(Trap()))
    assert "is no array of numbers, or damaged" in refusal("bare.npy")
    with pytest.raises(UserError, match="pickled objects"):
        codes_file.read(numpy_file("codes.npz"))
    assert LatentTable.load(numpy_file("latents.npz")) is None
    assert prepare.load_prepared(numpy_file("prepared.npy"), (1,)) is None
    torch_file("checkpoints/last.ckpt")
    with pytest.raises(UserError, match="damaged or not a checkpoint"):
        load_checkpoint(Path("."))
    assert features.restore(nn.Linear(1, 1), torch_file("extractor.pt")) is None
    assert not Path("trapped").exists()
