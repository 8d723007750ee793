"""LAC by the operators of PaddlePaddle, which jieba's own code calls by names that are gone."""

import os

import numpy as np

os.environ.setdefault("FLAGS_enable_pir_api", "0")  # the programs of before, with ragged tensors


def load(folder, rows):
    """A function that returns the logits `[sum of lengths, 57]` of rows of tokens, and labels."""
    import paddle
    from paddle import base

    paddle.enable_static()
    program = base.Program()
    block, place = program.global_block(), base.CPUPlace()

    def add(kind, output, inputs, dtype="float32", **options):
        found = block.create_var(dtype=dtype, lod_level=1)
        others = {name: [block.create_var(dtype="float32")] for name in OTHERS.get(kind, ())}
        outputs = {output: [found], **others}
        block.append_op(type=kind, inputs=inputs, outputs=outputs, attrs=options)
        return found

    def weight(name, *shape):
        values = np.fromfile(folder / "model_baseline" / name, np.uint8)[-4 * np.prod(shape) :]
        base.global_scope().var(name).get_tensor().set(values.view("f4").reshape(shape), place)
        return block.create_var(name=name, shape=shape, dtype="float32", persistable=True)

    def dense(xs, index, size, units):
        w, b = weight(f"fc_{index}.w_0", size, units), weight(f"fc_{index}.b_0", units)
        ys = add("mul", "Out", {"X": [xs], "Y": [w]}, x_num_col_dims=1, y_num_col_dims=1)
        return add("elementwise_add", "Out", {"X": [ys], "Y": [b]}, axis=1)

    def gru(xs, index, size):
        w, b = weight(f"gru_{index}.w_0", 128, 384), weight(f"gru_{index}.b_0", 1, 384)
        inputs = {"Input": [dense(xs, index, size, 384)], "Weight": [w], "Bias": [b]}
        return add("gru", "Hidden", inputs, is_reverse=index % 2 == 1, is_test=True)

    words = block.create_var(name="words", shape=[-1, 1], dtype="int64", lod_level=1, is_data=True)
    xs = add("lookup_table_v2", "Out", {"W": [weight("word_emb", 20941, 128)], "Ids": [words]})
    xs = add("reshape2", "Out", {"X": [xs]}, shape=[-1, 128])
    for index, size in [(0, 128), (2, 256)]:
        xs = add("concat", "Out", {"X": [gru(xs, index, size), gru(xs, index + 1, size)]}, axis=1)
    logits = dense(xs, 4, 256, 57)
    inputs = {"Emission": [logits], "Transition": [weight("crfw", 59, 57)]}
    labels = add("crf_decoding", "ViterbiPath", inputs, dtype="int64")

    tensor = base.create_lod_tensor(np.concatenate(rows)[:, None], [[*map(len, rows)]], place)
    run, fetch = base.Executor(place).run, {"fetch_list": [logits, labels], "return_numpy": False}

    def tag():
        found = map(np.array, run(program, feed={"words": tensor}, **fetch))
        return [next(found), next(found)[:, 0]]

    return tag


OTHERS = {"gru": ("BatchGate", "BatchResetHiddenPrev", "BatchHidden"), "reshape2": ("XShape",)}
