"""Here the particles themselves are tested: as users have them."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def _as_users_have_them(whole_cells_throughout):
    pass
