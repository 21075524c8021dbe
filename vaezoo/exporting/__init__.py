"""A trained model for programs without PyTorch.

onnx_networks   encoder and decoder as ONNX, checked against PyTorch
export_files    the files of `python -m vaezoo.export`
"""
