"""The cluster bootstrap against scipy's, and its parts by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from llava_eval.metrics.intervals import (
    NUM_RESAMPLES,
    SEED,
    percentile_interval,
    resample_counts,
    resampled_sums,
    sign_p_value,
)


def test_every_resample_draws_as_many_clusters_as_there_are() -> None:
    counts = np.concatenate(list(resample_counts(7, 50)))
    assert counts.shape == (50, 7)
    assert (counts.sum(axis=1) == 7).all()


@pytest.mark.parametrize(("num_clusters", "num_resamples"), [(1, 3), (7, 50), (3000, 12)])
def test_counts_are_of_what_was_drawn(num_clusters: int, num_resamples: int) -> None:
    drawn = np.random.default_rng(SEED).integers(num_clusters, size=(num_resamples, num_clusters))
    expected = [[row.count(n) for n in range(num_clusters)] for row in drawn[-2:].tolist()]
    (counts,) = resample_counts(num_clusters, num_resamples)
    assert counts.shape == (num_resamples, num_clusters)
    assert counts[-2:].tolist() == expected
    assert (counts.sum(axis=1) == num_clusters).all()


def test_resamples_are_seeded() -> None:
    one, two = (np.concatenate(list(resample_counts(20, 10))) for _ in range(2))
    assert (one == two).all()
    assert len({tuple(row) for row in one.tolist()}) == 10


def test_many_clusters_come_in_pieces() -> None:
    pieces = list(resample_counts(1_500_000, 3))
    assert [len(piece) for piece in pieces] == [2, 1]


def test_sums_follow_their_clusters() -> None:
    sums = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    drawn = resampled_sums(sums)
    assert drawn.shape == (NUM_RESAMPLES, 2)
    assert (drawn[:, 1] == 10 * drawn[:, 0]).all()
    assert drawn[:, 0].mean() == pytest.approx(7.0, abs=0.15)


def test_the_interval_of_a_mean_is_scipys_but_for_the_expansion() -> None:
    values = np.random.default_rng(3).gamma(2.0, size=200)
    replicates = resampled_sums(values[:, None])[:, 0] / 200
    low, high = percentile_interval(replicates, 200, 0.95)
    plain = stats.bootstrap(
        (values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert (low, high) == pytest.approx((plain.low, plain.high), abs=0.03)
    assert low < np.quantile(replicates, 0.025)
    assert high > np.quantile(replicates, 0.975)


def test_the_expansion_by_hand() -> None:
    # five clusters: Phi(-sqrt(5/4) * 2.776) = Phi(-3.104) = 0.00095 in each tail
    replicates = np.arange(100_001.0)
    low, _ = percentile_interval(replicates, 5, 0.95)
    assert low / 100_000 == pytest.approx(stats.norm.cdf(-math.sqrt(1.25) * 2.7764), rel=1e-3)


def test_unknown_replicates_do_not_count() -> None:
    replicates = np.array([1.0, 2.0, 3.0, np.nan])
    low, high = percentile_interval(replicates, 50, 0.5)
    assert 1.0 < low < high < 3.0


def test_the_p_value_is_where_the_interval_reaches_zero() -> None:
    replicates = np.random.default_rng(0).normal(1.0, 0.5, size=50_000)
    p_value = sign_p_value(replicates, 40)
    low, _ = percentile_interval(replicates, 40, 1 - p_value)
    assert low == pytest.approx(0.0, abs=0.01)
    assert sign_p_value(np.zeros(100), 40) == 1.0


def test_p_values_are_no_larger_than_replicates_tell_apart() -> None:
    # 40 differences, normal around -0.25: of 2000 resamples none reaches 0
    differences = -0.25 + 0.3 * stats.norm.ppf((np.arange(40) + 0.5) / 40)
    replicates = resampled_sums(differences[:, None])[:, 0] / 40
    assert (replicates < 0).all()
    expected = stats.ttest_1samp(differences, 0).pvalue  # 0.000006
    assert sign_p_value(replicates, 40) == pytest.approx(expected, rel=0.35)
    assert sign_p_value(replicates - 10, 40) < 1e-12
