"""The golden files are what the frameworks give today."""

import zlib

import numpy as np
import pytest

from tests.library._golden import NAMES, load
from tests.library.golden import peers
from tests.library.golden.make import all_peers

PEERS = all_peers()


def test_every_peer_has_a_file():
    assert sorted(PEERS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_file_is_what_the_framework_gives(name):
    made, stored = peers.results(PEERS[name], seed=zlib.crc32(name.encode())), load(name)
    assert set(made) == set(stored)
    for key, array in stored.items():
        np.testing.assert_allclose(made[key], array, rtol=1e-9, atol=1e-11, err_msg=key)
