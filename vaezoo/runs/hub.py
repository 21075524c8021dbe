"""Shared runs on the Hugging Face hub, at addresses such as hf://owner/name and hf://owner/name@revision.

A repository holds the file of a shared run, its model card and its pictures. The package huggingface_hub, the extra
`hub`, keeps what was downloaded in its cache, asks no network with HF_HUB_OFFLINE=1, and knows the token of the user.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vaezoo.errors import UserError

PREFIX = "hf://"
ADDRESS = re.compile(r"hf://(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
FILE = "vaezoo.zip"


def is_address(place: object) -> bool:
    """Return whether a place is an address on the hub."""
    return isinstance(place, str) and place.startswith(PREFIX)


def read_address(address: str) -> tuple[str, str | None]:
    """Return the repository and the revision of an address, None for the newest one.

    Raises UserError for an address of another form.
    """
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise UserError(f"{address}: must be hf://owner/name or hf://owner/name@revision.")
    return match["repository"], match["revision"]


def import_hub() -> Any:
    """Return the package huggingface_hub. Raises UserError where it is not installed."""
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is missing. Install it with: pip install 'vaezoo[hub]'") from None
    for name in ("httpx", "httpx2"):  # Their log has a line for each request.
        logging.getLogger(name).setLevel(logging.WARNING)
    return huggingface_hub


def download(address: str) -> Path:
    """Return the path, in the cache of the hub, of the file of a shared run.

    Raises UserError where it is not there, or cannot be reached.
    """
    repository, revision = read_address(address)
    hub = import_hub()
    with answering(f"{address}: {FILE} cannot be downloaded"):
        return Path(hub.hf_hub_download(repository, FILE, revision=revision))


def upload(address: str, file: Path, members: Mapping[str, bytes]) -> str:
    """Put the file of a shared run into a repository, made where it is missing; return the address of its page.

    `members` are its model card and pictures by their names. Raises UserError where the hub refuses it.
    """
    repository, revision = read_address(address)
    if revision is not None:
        raise UserError(f"to={address}: must be an address without a revision, because the upload makes a new one.")
    hub = import_hub()
    files = [hub.CommitOperationAdd(name, content) for name, content in {FILE: file, **members}.items()]
    with answering(f"{address} cannot be uploaded", " Is there a token (`hf auth login`) that may write there?"):
        api = hub.HfApi()
        api.create_repo(repository, exist_ok=True)
        commit = api.create_commit(repository, files, commit_message="Share a run of vaezoo")
    return str(commit.commit_url)


@contextmanager
def answering(failure: str, advice: str = "") -> Iterator[None]:
    """Raise UserError, which begins with `failure`, for every error of the hub and of the network."""
    try:
        yield
    except Exception as error:  # The network libraries raise errors of many kinds.
        lines = [line.strip(" .") for line in str(error).splitlines() if line.strip()]
        raise UserError(f"{failure} ({'. '.join(lines[:2]) or type(error).__name__}).{advice}") from None
