"""A plug-in of vaezoo: a model, a network, a data set, a metric, a figure and an experiment."""
