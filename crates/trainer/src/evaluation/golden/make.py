"""Writes scikit-learn.json: scores of random confusions and rankings, by scikit-learn and SciPy.

    pip install scikit-learn==1.9.1 && python make.py > scikit-learn.json
"""

import json
import sys
import warnings

import numpy as np
from scipy import stats
from sklearn import metrics

warnings.filterwarnings("ignore")
random = np.random.default_rng(20)


def confusion(classes, images, empty=()):
    """Labels and predictions of a random matrix, with classes in `empty` that have no image."""
    known = [c for c in range(classes) if c not in empty]
    label = random.choice(known, images)
    hit = random.random(images) < 0.6
    predicted = np.where(hit, label, random.integers(0, classes, images))
    matrix = metrics.confusion_matrix(label, predicted, labels=range(classes))
    interval = stats.binomtest(int(np.trace(matrix)), images).proportion_ci(0.95, "wilson")
    return {
        "confusion": matrix.tolist(),
        "balanced_accuracy": metrics.balanced_accuracy_score(label, predicted),
        "macro_f1": metrics.f1_score(label, predicted, average="macro", zero_division=0),
        "cohen_kappa": metrics.cohen_kappa_score(label, predicted),
        "matthews": metrics.matthews_corrcoef(label, predicted),
        "interval": [interval.low, interval.high],
    }


def ranking(images, digits):
    """Scores of random positives; few digits make ties."""
    positive = random.random(images) < 0.3
    score = np.round(random.normal(positive * 0.8, 1.0), digits)
    return {
        "scores": score.tolist(),
        "positive": positive.tolist(),
        "roc_auc": metrics.roc_auc_score(positive, score),
        "average_precision": metrics.average_precision_score(positive, score),
    }


def several(images, classes, empty=()):
    """Any number of labels an image; `empty` are classes without images."""
    target = random.random((images, classes)) < random.uniform(0.1, 0.5, classes)
    target[:, list(empty)] = False
    score = np.round(1 / (1 + np.exp(-random.normal(target * 1.5 - 0.7, 1.0))), 3).astype(np.float32)
    threshold = np.round(random.uniform(0.3, 0.7, classes), 4)
    said = score.astype(float) >= threshold
    present = [c for c in range(classes) if target[:, c].any()]
    average = [metrics.average_precision_score(target[:, c], score[:, c]) if c in present else None for c in range(classes)]

    def best(c):
        cuts = np.unique(score[:, c])
        return max(metrics.f1_score(target[:, c], score[:, c] >= cut, zero_division=0) for cut in cuts)

    return {
        "labels": [np.flatnonzero(row).tolist() for row in target],
        "scores": [[float(value) for value in row] for row in score],
        "thresholds": threshold.tolist(),
        "average_precision": average,
        "mean_average_precision": float(np.mean([average[c] for c in present])),
        "micro_f1": metrics.f1_score(target, said, average="micro", zero_division=0),
        "macro_f1": metrics.f1_score(target, said, average="macro", zero_division=0),
        "exact": metrics.accuracy_score(target, said),
        "best_f1": [best(c) for c in range(classes)],
    }


json.dump(
    {
        "confusions": [
            confusion(2, 7),
            confusion(2, 50),
            confusion(3, 40, empty=[1]),
            confusion(5, 200),
            confusion(10, 300, empty=[0, 9]),
            confusion(30, 900),
        ],
        "rankings": [ranking(12, 3), ranking(40, 1), ranking(200, 0), ranking(150, 6)],
        "several": [several(20, 3), several(60, 6, empty=[2])],
    },
    sys.stdout,
)
