"""Random keys that belong to the rows of a batch, several for each."""

import jax

from birnn_jax.data import row_keys, split_row_keys


def keys_of_rows(
    key: jax.Array | None, rows: jax.Array | None, num: int
) -> tuple[jax.Array | None, ...]:
    """`num` times a key `[B]` for each row, one for each thing that is drawn; None without `key`.

    Where nothing is drawn, `rows` may be None too.
    """
    if key is None:
        return (None,) * num
    assert rows is not None
    return split_row_keys(row_keys(key, rows), num)
