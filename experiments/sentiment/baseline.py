"""The baseline: logistic regression over which words, and which pairs of words, a sentence has."""

import itertools
from collections.abc import Sequence
from typing import Any, cast

from experiments.sentiment.data import Text

_STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)  # inverse of the penalty on the weights; dev decides


def bag_of_words(train: Sequence[Text], dev: Sequence[Text], test: Sequence[Text]) -> list[str]:
    """The labels that it gives `test`."""
    from sklearn.feature_extraction.text import CountVectorizer  # seconds; for tests alone
    from sklearn.linear_model import LogisticRegression

    counter = CountVectorizer(analyzer=cast(Any, _terms), binary=True)
    features = counter.fit_transform(train)

    def fitted(strength: float) -> LogisticRegression:
        model = LogisticRegression(C=strength, max_iter=1000)
        return model.fit(features, [text.label for text in train])

    labels = [text.label for text in dev]
    best = max(map(fitted, _STRENGTHS), key=lambda m: m.score(counter.transform(dev), labels))
    return [str(label) for label in best.predict(counter.transform(test))]


def _terms(text: Text) -> list[str]:
    words = [word.lower() for word in text.words]
    return words + [" ".join(pair) for pair in itertools.pairwise(words)]
