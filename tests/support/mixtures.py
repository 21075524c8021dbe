"""A posterior and a mixture of three Gaussians."""

from tests.support.tensors import double

MEAN, LOGVAR = double([[0.5, -0.2], [1.0, 0.3]]), double([[-1.0, -0.5], [0.0, -2.0]])


MEANS = double([[0, 0], [2, 1], [-1, 1]]).expand(2, 3, 2)


LOGVARS = double([[0, 0], [-1, -1], [0.5, -0.5]]).expand(2, 3, 2)
