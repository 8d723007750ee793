"""Scores of entities beside seqeval and conlleval, also for tags that break their scheme."""

import conlleval
import numpy as np
import pytest
from seqeval.metrics import f1_score, precision_score, recall_score

from birnn_jax.metrics import score_entities

NAMES = ["B-X", "I-X", "E-X", "S-X", "B-Y", "I-Y", "E-Y", "S-Y", "B-a-b", "I-a-b", "O", "O", "O"]


def draw(seed):
    rng = np.random.default_rng(seed)
    rows = [rng.integers(len(NAMES), size=n) for n in rng.integers(1, 9, size=5)]
    others = [np.where(rng.random(len(r)) < 0.8, r, rng.permutation(r)) for r in rows]
    return [[[NAMES[k] for k in row] for row in part] for part in (rows, others)]


@pytest.mark.parametrize("seed", range(100))
@pytest.mark.filterwarnings("ignore")  # of seqeval, where a score is not defined
def test_scores_are_those_of_seqeval_and_conlleval(seed):
    gold, predicted = draw(seed)
    scores = score_entities(gold, predicted)
    score = scores[""]
    assert score.precision == pytest.approx(precision_score(gold, predicted, zero_division=0))
    assert score.recall == pytest.approx(recall_score(gold, predicted, zero_division=0))
    assert score.f1 == pytest.approx(f1_score(gold, predicted, zero_division=0))
    lines = []
    for rows in zip(gold, predicted, strict=True):
        lines += [f"word {a} {b}" for a, b in zip(*rows, strict=True)] + [""]
    told = conlleval.evaluate(lines)
    stats = {"correct": score.correct, "pred": score.predicted, "gold": score.gold}
    assert told["overall"]["chunks"]["stats"] == stats
    for name, parts in told["slots"]["chunks"].items():
        stats = parts["stats"]
        own = scores.get(name, (0, 0, 0))
        assert tuple(own) == (stats["correct"], stats["pred"], stats["gold"])
