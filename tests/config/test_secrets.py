"""Secrets: recognised by their names, refused as options, and written nowhere."""

from pathlib import Path

import pytest

from tests.support.configuration import check_line, compose_train
from vaezoo.config.directory import DIRECTORY
from vaezoo.config.overrides import branches, leaves
from vaezoo.config.secrets import check_secret, hide_secrets, names_secret
from vaezoo.config.values import check_config
from vaezoo.errors import UserError

SECRETS = ["WANDB_API_KEY", "api_key", "apiKey", "APIKEY", "hf-token", "DB_PASSWORD", "aws_secret_access_key", "tokens"]
OTHERS = ["seed", "monkey", "keyboard_layout", "tokenizer", "secretary", "passes", "model.beta", "PATH"]


def test_names_of_secrets():
    assert [name for name in SECRETS if not names_secret(name)] == []
    assert [name for name in OTHERS if names_secret(name)] == []


def test_no_key_of_ours_is_taken_for_a_secret():
    from omegaconf import OmegaConf

    files = [file for file in Path(DIRECTORY).rglob("*.yaml") if "hydra" not in file.parts]
    contents = [OmegaConf.to_container(OmegaConf.load(file), resolve=False) for file in files]
    keys = {key for content in contents for walk in (leaves, branches) for key, _ in walk(content or {})}
    assert len(keys) > 200
    assert [key for key in keys if names_secret(key)] == []


@pytest.mark.parametrize(
    "line",
    [
        "hydra.job.env_set={WANDB_API_KEY:hush}",
        "hydra.job.env_set.WANDB_API_KEY=hush",
        "+hydra.job.env_set.HF_TOKEN='hush hush'",
        "++trainer.x={a:[{password:hush}]}",
        "+trainer.api_key=hush,hush2",
        "+trainer.name=${oc.env:WANDB_API_KEY}",
    ],
)
def test_an_option_with_a_secret_is_refused_without_its_value(line):
    with pytest.raises(UserError, match="is the name of a secret") as refusal:
        check_line([line])
    assert "hush" not in str(refusal.value)


def test_a_configuration_with_a_secret_is_refused():
    config = compose_train("dataset=digits", "+trainer.token=hush")
    with pytest.raises(UserError, match=r"trainer\.token.*name of a secret"):
        check_config(config)
    check_secret("hydra.job.env_set", {"OMP_NUM_THREADS": "1", "WANDB_API_KEY": None, "tokens": 8})


def test_a_command_is_written_without_its_secrets():
    words = ["python", "-m", "x", "--api-key", "hush", "--token=hush", "A.password=hush", "seed=1"]
    words += ["path=https://me:hush@host/x", "https://hush@host/x@y"]
    hidden = hide_secrets(words)
    assert "hush" not in " ".join(hidden)
    assert hidden[:3] == ["python", "-m", "x"]
    assert {"seed=1", "path=https://***@host/x", "https://***@host/x@y", "--token=***"} < set(hidden)
