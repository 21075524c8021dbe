"""Scores as pure functions of arrays; see `vaezoo.metrics.protocol` for how they are called."""
