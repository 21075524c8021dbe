"""The files of `python -m vaezoo.export`: encoder.onnx, decoder.onnx and weights.safetensors."""

from pathlib import Path

from torch import nn

from vaezoo.exporting.onnx_networks import (
    OPSET,
    Network,
    explain_missing_decoder,
    export_decoder,
    export_encoder,
    import_onnx,
)
from vaezoo.models.base import LatentModel
from vaezoo.runs.files import write_whole


def write_export(model: LatentModel, title: str, folder: Path) -> list[str]:
    """Write the files of a model into a folder, and return lines that describe them.

    A decoder that cannot be exported is left out, and a line says why. Raises UserError where the encoder cannot.
    """
    import_onnx()
    networks: dict[str, Network | str] = {"encoder": export_encoder(model)}
    networks["decoder"] = explain_missing_decoder(model) or export_decoder(model)
    lines = [title, f"ONNX of opset {OPSET}, float32; outputs compared with those of PyTorch on random inputs"]
    for name, network in networks.items():
        if isinstance(network, str):
            lines.append(f"no {name}: {network}")
            continue
        path = folder / f"{name}.onnx"
        write_whole(path, lambda partial, content=network.content: partial.write_bytes(content))  # type: ignore[misc]
        lines.append(describe_file(path, f"{network.describe()}   off by at most {network.difference:.1e}"))
    path = folder / "weights.safetensors"
    write_whole(path, lambda partial: write_weights(model, title, partial))
    lines.append(describe_file(path, f"{sum(value.numel() for value in model.state_dict().values()):,} numbers"))
    return lines


def describe_file(path: Path, content: str) -> str:
    """Return a line with the name of a file, its size and what it holds."""
    return f"{path.name:<20} {format_size(path.stat().st_size):>8}   {content}"


def format_size(size: int) -> str:
    """Return a number of bytes with its unit, such as "1.5 MB"."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} KB"


def write_weights(model: nn.Module, title: str, path: Path) -> None:
    """Write all weights and statistics of a model by their names, which its `load_state_dict` takes."""
    from safetensors.torch import save_file

    # Weights may share memory, which the format does not have.
    state = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    save_file(state, path, metadata={"title": title, "format": "pt"})
