"""Hypothesis strategies shared by the property tests."""

import numpy as np
from hypothesis import strategies as st

from calibench.predictions import Predictions


@st.composite
def predictions(draw, max_examples=40, max_classes=6):
    """Random logits, from nearly uniform to saturated."""
    num_examples = draw(st.integers(1, max_examples))
    num_classes = draw(st.integers(2, max_classes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = draw(st.sampled_from([0.1, 1.0, 10.0, 1000.0]))
    logits = scale * rng.standard_normal((num_examples, num_classes))
    labels = rng.integers(num_classes, size=num_examples)
    return Predictions.from_logits(logits, labels)


@st.composite
def edge_predictions(draw, num_bins, max_examples=12):
    """Binary and ternary probabilities on, just below and just above bin edges.

    Random numbers never land on an edge; these do, and tie with each other.
    """
    num_examples = draw(st.integers(1, max_examples))
    edges = st.integers(0, num_bins).map(lambda b: b / num_bins)
    nudged = st.tuples(edges, st.sampled_from([-1.0, 2.0])).map(
        lambda pair: float(np.clip(np.nextafter(*pair), 0, 1))
    )
    top = st.one_of(edges, nudged, st.sampled_from([0.0, 1.0, 0.5]))
    rows = []
    ternary = draw(st.booleans())
    for _ in range(num_examples):
        p = draw(top)
        rest = draw(st.sampled_from([0.0, 0.5])) * (1 - p)
        rows.append([p, 1 - p - rest, rest] if ternary else [p, 1 - p])
    labels = draw(
        st.lists(
            st.integers(0, len(rows[0]) - 1),
            min_size=num_examples,
            max_size=num_examples,
        )
    )
    return Predictions.from_probs(rows, labels)
