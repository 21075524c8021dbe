"""Recognise secrets by their names, such as WANDB_API_KEY, so that their values are written nowhere.

Command line, configuration and Hydra's own settings are written into the run folder and sent to loggers. An option with
the name of a secret is therefore refused; it belongs into the environment of the command, which is not written.
"""

import re
from collections.abc import Sequence
from typing import Any

from vaezoo.errors import UserError

SECRET = re.compile(r"(?<![a-z])(api_?key|key|token|password|passwd|passphrase|pwd|secret|credential)s?(?![a-z])")
HIDDEN = "***"


def names_secret(name: str) -> bool:
    """Return whether a variable or an option of that name may hold a secret."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()  # apiKey has two words
    return SECRET.search(words) is not None


def check_secret(key: str, value: Any) -> None:
    """Raise UserError if an option, or a key in its value, is named as a secret and has a text as its value.

    The message never has the value. A reference to a variable of the environment with such a name is refused, too.
    """
    if isinstance(value, dict):
        for name, inner in value.items():
            check_secret(f"{key}.{name}", inner)
    elif isinstance(value, list):
        for inner in value:
            check_secret(key, inner)
    elif isinstance(value, str) and value.strip() not in ("", "???"):
        variables = re.findall(r"oc\.env:\s*([^,}\s]+)", value)
        if secret := next((name for name in (key.rpartition(".")[2], *variables) if names_secret(name)), None):
            raise UserError(
                f"{key}: {secret} is the name of a secret, and options are written into the run folder. Leave it out,"
                " and set the variable in your environment before the command."
            )


def hide_secrets(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with *** in place of secrets: --token X, PASSWORD=X, https://user:X@host."""
    hidden: list[str] = []
    for i, word in enumerate(words):
        name, equals, _ = word.partition("=")
        if equals and names_secret(name.rpartition(".")[2]):
            word = f"{name}={HIDDEN}"
        elif i and words[i - 1].startswith("--") and "=" not in words[i - 1] and names_secret(words[i - 1]):
            word = HIDDEN
        hidden.append(re.sub(r"(?<=://)[^/@\s]+(?=@)", HIDDEN, word))
    return hidden
