"""What the tests of the trainer train on."""

import pytest

from tests.builders import short_rows, write_training_shards
from train.data import shards_of
from train.streams import Shard


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Shard]:
    """Twelve short rows in shards of seven and five."""
    folder = tmp_path_factory.mktemp("training")
    return shards_of(str(folder), write_training_shards(folder, short_rows(12), [7, 5]))
