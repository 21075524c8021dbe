"""Codes on two small grids."""

import math

from tests.support.tensors import double

# Four and two posteriors of sigma 1/2.
A = double([[-1, -1], [-1, 1], [1, -1], [1, 1]])


B = double([[-1, -1], [1, 1]])


EPSILON = double([[0.2, -0.4], [1, 0], [-0.6, 0.8], [0, -1]])


HALF = math.log(0.25)
