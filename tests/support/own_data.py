"""Messages about a user's own data."""

import pytest

from vaezoo.data.sources.arrays import arrays
from vaezoo.errors import UserError


def refusal(*arguments, **options) -> str:
    with pytest.raises(UserError) as caught:
        arrays(*arguments, **options)
    return str(caught.value)
