"""The table of a stack, and the counting of parameters."""

import jax
import jax.numpy as jnp
import pytest

from birnn_jax import ELMAN, GRU, LSTM, Bi, Layer, cells, init_classifier, init_stack, init_tagger
from birnn_jax.inspection import count_params, tabulate
from tests.library._cases import CLOCKED, B, D, H, T, random_xs

LAYERS = (
    Layer(Bi(LSTM, ELMAN), merge="concat"),
    Layer(cells.zoneout(GRU, h=0.1), direction="bwd"),
    Layer(CLOCKED, merge="sum"),
    Layer(cells.parallel(cells.MINGRU)),
)
TABLE = """
layer  cell                 direction  shapes                                                         parameters  output
0      LSTM                 fwd        w_x [2, 16], w_h [4, 16], b [16]                                      112  [3, 5, 7]
0      ELMAN                bwd        w_x [2, 3], w_h [3, 3], b [3]                                          18
1      zoneout(GRU, h=0.1)  bwd        w_x [7, 9], w_h [3, 9], b [9], b_hn [3]                               102  [3, 5, 3]
2      CLOCKED              fwd        bias [2], input [3, 2], output [2, 6], state [2, 2]                    24  [3, 5, 6]
2      CLOCKED              bwd        bias [2], input [3, 2], output [2, 6], state [2, 2]                    24
3      parallel(MINGRU)     fwd        w_x [6, 10], b [10]                                                    70  [3, 5, 10]
3      parallel(MINGRU)     bwd        w_x [6, 10], b [10]                                                    70
total                                                                                                        420
"""  # noqa: E501


def _words(line):
    return line.split()


def test_every_direction_has_its_line():
    params = init_stack(LAYERS, jax.random.key(0), input_size=D, hidden_size=[Bi(4, 3), 3, 2, 5])
    table = tabulate(LAYERS, params, random_xs()).splitlines()
    assert [_words(line) for line in table] == [_words(line) for line in TABLE.strip().splitlines()]
    ends = {
        line.index(word) + len(word) for line, word in zip(table[1:], ["112", "18"], strict=False)
    }
    assert len(ends) == 1


def test_a_shape_will_do_for_inputs():
    params = init_stack(LAYERS[:1], jax.random.key(0), input_size=D, hidden_size=H)
    shape = jax.ShapeDtypeStruct((B, T, D), jnp.float32)
    assert tabulate(LAYERS[:1], params, shape) == tabulate(LAYERS[:1], params, random_xs())


@pytest.mark.parametrize("readout", ["final", "attention"])
def test_models_have_a_line_for_each_other_parameter(readout):
    sizes = {"input_size": D, "hidden_size": H, "num_classes": 6}
    layers, (key, key_tagger) = (Layer(LSTM),), jax.random.split(jax.random.key(0))
    classifier = init_classifier(layers, key, **sizes, readout=readout)
    lines = tabulate(layers, classifier, random_xs()).splitlines()
    names = [line.split()[0] for line in lines[3:]]
    assert names == ["attention"] * (readout == "attention") + ["w", "b", "total"]
    total = int(lines[-1].split()[-1].replace(",", ""))
    assert total == count_params(classifier) == sum(x.size for x in jax.tree.leaves(classifier))
    tagger = init_tagger(layers, key_tagger, **sizes)
    assert "w                       [14, 6]" in tabulate(layers, tagger, random_xs())


def test_what_does_not_fit_is_refused():
    params = init_stack(LAYERS[:1], jax.random.key(0), input_size=D + 1, hidden_size=H)
    with pytest.raises(ValueError, match="xs has 2 features but params were made for 3"):
        tabulate(LAYERS[:1], params, random_xs())


def test_what_stands_around_a_recurrence_has_a_row():
    layers = (Layer(GRU, projection=D, norm="post"),)
    params = init_stack(layers, jax.random.key(0), input_size=D, hidden_size=H)
    rows = [line.split()[:2] for line in tabulate(layers, params, random_xs()).splitlines()]
    assert ["0", "norm"] in rows and ["0", "projection"] in rows
