"""Each network twice on the same inputs: in birnn_jax, and in the runtime that it was made for.

A function for each example returns two functions without arguments, ours and theirs, which give
the same arrays. `measure.py` times them; the tests compare their outputs.
"""

import contextlib
import gzip
import importlib
import io
import types
import warnings
from pathlib import Path

import numpy as np

DATA = Path(__file__).parents[2] / "experiments" / "data"
JAPANESE = [
    "吾輩は猫である。名前はまだ無い。",
    "どこで生れたかとんと見当がつかぬ。",
    "何でも薄暗いじめじめした所でニャーニャー泣いていた事だけは記憶している。",
    "吾輩はここで始めて人間というものを見た。",
]
CHINESE = [
    "北京大学的王教授昨天在上海参观了一家高科技公司。",
    "他们计划于2025年把总部迁到深圳。",
    "学而时习之不亦说乎",
    "春天来了。",
]


def pronounce():
    """g2p-en computes in NumPy, one word at a time."""
    import pronounce

    with contextlib.redirect_stderr(io.StringIO()):  # it asks for a dictionary, needless here
        module = _quietly("g2p_en.g2p")
    module.cmudict = types.SimpleNamespace(dict=dict)
    theirs, run = module.G2p(), pronounce.load()
    with gzip.open(DATA / "pos_ewt_tiny.tsv.gz", "rt", encoding="utf-8") as file:
        words = sorted({w for w in file.read().split() if w.isascii() and w.isalpha()})
    words = [word for word in words if word.islower() and len(word) > 6][:100]
    batch = pronounce.spell(words)

    def read(word):
        """The state behind the letters, and the phonemes."""
        names = ["enc_w_ih", "enc_w_hh", "enc_b_ih", "enc_b_hh"]
        xs = theirs.encode(word)
        state = theirs.gru(xs, xs.shape[1], *(getattr(theirs, name) for name in names))[0, -1]
        tokens = [theirs.p2idx[phoneme] for phoneme in theirs.predict(word)]
        return state, tokens + [-1] * (20 - len(tokens))

    def ours():
        state, phonemes = run(*batch)
        return [state, phonemes.tokens]

    return ours, lambda: [np.array(column) for column in zip(*map(read, words))]


def compare_voices():
    """Resemblyzer computes in PyTorch."""
    import compare_voices
    import torch

    theirs = _quietly("resemblyzer").VoiceEncoder("cpu", verbose=False)
    run, rng = compare_voices.load(), np.random.default_rng(0)
    mels = rng.gamma(0.5, 0.1, [8, 160, 40]).astype(np.float32)

    def embed():
        with torch.inference_mode():
            return [theirs(torch.from_numpy(mels)).numpy()]

    return lambda: [run(mels)], embed


def read_captcha():
    """ddddocr computes in ONNX Runtime; both start from the features below the LSTM."""
    import onnx
    import onnxruntime
    import read_captcha
    from PIL import Image, ImageDraw, ImageFont

    picture, file = Image.new("L", (150, 48), 255), io.BytesIO()
    ImageDraw.Draw(picture).text((8, 4), "7aKp3xQ", font=ImageFont.load_default(32), fill=0)
    picture.save(file, "png")
    see, run = read_captcha.load()
    features = see(read_captcha.open_picture(file))
    graph = (model := onnx.load(read_captcha.FILE)).graph
    name = next(node.input[0] for node in graph.node if node.op_type == "LSTM")
    below = next(place for place, node in enumerate(graph.node) if name in node.output)
    del graph.node[: below + 1], graph.input[:]
    graph.input.append(onnx.helper.make_tensor_value_info(name, 1, features.shape))
    session = onnxruntime.InferenceSession(model.SerializeToString(), _one_thread())
    return lambda: [run(features)[0]], lambda: [session.run(None, {name: features})[0][:, 0]]


def detect_speech():
    """Silero VAD computes in ONNX Runtime."""
    import detect_speech

    theirs, run = _quietly("silero_vad").load_silero_vad(sequence=True), detect_speech.load()
    seconds = np.arange(16 * 16_000, dtype=np.float32) / 16_000
    tones = np.sin(2 * np.pi * np.outer(seconds, [140, 280, 420, 1100])).sum(axis=1)
    noise = np.random.default_rng(0).normal(size=len(seconds))
    samples = np.float32(0.02 * noise + 0.1 * tones * (np.sin(9 * seconds) > 0))
    frames = detect_speech.cut(samples)
    return lambda: [run(frames)[1]], lambda: [theirs.audio_forward(samples)]


def tag_japanese():
    """nagisa computes in C."""
    import tag_japanese

    tagger, run = _quietly("nagisa").Tagger(), tag_japanese.load()
    theirs, inputs = tagger._model, []

    def keep(encode):
        return lambda *features: (inputs.append(features), encode(*features))[1]

    with_inputs = {name: keep(getattr(theirs, name)) for name in ("encode_ws", "encode_pt")}
    vars(theirs).update(with_inputs)
    for text in JAPANESE:
        assert tagger.tagging(text).postags
    for name in with_inputs:
        delattr(theirs, name)
    pairs = list(zip(inputs[::2], inputs[1::2]))  # of each text: characters, words

    def encode(model):
        return [
            np.concatenate([np.ravel(model.encode_ws(*a)), np.ravel(model.encode_pt(*b))])
            for a, b in pairs
        ]

    return lambda: encode(run._model), lambda: encode(theirs)


def tag_chinese():
    """LAC computes in PaddlePaddle."""
    import lac_in_paddle
    import tag_chinese

    from birnn_jax.data import pad

    words = tag_chinese.read_table("word.dic")
    rows = [[int(words.get(character, words["OOV"])) for character in text] for text in CHINESE]
    run, (tokens, lengths, _) = tag_chinese.load(), pad(rows)
    valid = np.arange(tokens.shape[1]) < lengths[:, None]
    ours = lambda: [np.asarray(array)[valid] for array in run(tokens, lengths)]
    return ours, lac_in_paddle.load(tag_chinese.FOLDER, rows)


def _quietly(name):
    """A package as it is, with all that it warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


def _one_thread():
    """As Silero VAD and birnn_jax run."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return options


NETWORKS = [pronounce, compare_voices, read_captcha, detect_speech, tag_japanese, tag_chinese]
