"""What the model of a run loses on its test data, by its own methods in JAX."""

import numpy as np

from birnn_jax.metrics import label_error_rate, score_entities, score_translations
from experiments.characters.data import read_corpus
from experiments.music.data import read_test
from experiments.music.infill.report import flat_measures
from experiments.ner import data as ner
from experiments.pos_tagging import data as pos_tagging
from experiments.sentiment import data as sentiment
from experiments.speech.data import read_parts
from experiments.time_series.classify.data import read_data as read_series
from experiments.time_series.impute.data import read_parts as read_table
from experiments.translation.data import read_pairs
from experiments.translation.search import Search


def of_tagger(tagger, config):
    test = pos_tagging.read_data(**config.files, tags=config.tags, reading=config.reading())["test"]
    found = tagger.tag([sentence.words for sentence in test])
    right = [
        tag == gold
        for sentence, tags in zip(test, found, strict=True)
        for tag, gold in zip(tags, sentence.tags, strict=True)
    ]
    return {"accuracy": np.mean(right)}


def of_entities(tagger, config):
    test = ner.read_data(config, config.reading())[0]["test"]
    found = tagger.tag([sentence.words for sentence in test])
    score = score_entities([sentence.tags for sentence in test], found)[""]
    return {"f1": score.f1, "precision": score.precision, "recall": score.recall}


def of_texts(classifier, config):
    judged = classifier.judge(sentiment.read_data(config, config.reading())["test"])
    return {"accuracy": np.mean([item.is_right for item in judged])}


def of_sounds(listener, config):
    heard = listener.listen(read_parts(config).test, greedy=True)
    if config.task == "label":
        return {"accuracy": np.mean([item.is_right for item in heard])}
    rate = label_error_rate([item.said for item in heard], [item.heard for item in heard])
    return {"greedy_label_error_rate": rate}


def of_series(classifier, config):
    _, test = read_series(config.train, config.test, config.reading())
    found = classifier.classify(test).argmax(axis=-1)
    right = [
        classifier.problem.labels[label] == item.label
        for label, item in zip(found, test, strict=True)
    ]
    return {"accuracy": np.mean(right)}


def of_table(imputer, config):
    windows = read_table(config).windows["test"]
    errors = (imputer.fill(windows.values, windows.seen) - windows.values)[windows.hidden]
    return {"mae": np.abs(errors).mean(), "mse": (errors**2).mean()}


def of_text(model, config):
    options = {"characters": config.characters, "held_out": config.held_out}
    corpus = read_corpus(config.text, config.reading(), **options)
    tokens = corpus.held_out if config.held_out else corpus.train
    name = "held_out_bits" if config.held_out else "bits"
    return {name: model.measure(tokens)["bits"]}


def of_music(composer, config):
    return {"nats": composer.measure(read_test(None, config))}


def of_infiller(infiller, config):
    measured = flat_measures(infiller.measure(read_test(None, config)))
    kinds = [(measure, part) for measure in ("accuracy", "nats") for part in ("voices", "bars")]
    return {"_".join(kind): measured["_".join(kind)] for kind in kinds}


def of_translator(translator, config):
    pairs = read_pairs(config, config.reading())["test"]
    found = translator.translate([pair.source for pair in pairs], Search(1, 0.0))
    gold = [pair.target for pair in pairs]
    score = score_translations(found, gold, tokenize=config.bleu_tokens)
    return {"greedy_bleu": score.bleu, "greedy_chrf": score.chrf}


MEASURES = {
    "pos_tagging": of_tagger,
    "ner": of_entities,
    "sentiment": of_texts,
    "speech": of_sounds,
    "time_series classify": of_series,
    "time_series impute": of_table,
    "char_lm": of_text,
    "music compose": of_music,
    "music infill": of_infiller,
    "translation": of_translator,
}
