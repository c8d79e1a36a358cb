"""What is tried again, and what is given up."""

from __future__ import annotations

from llava_eval.engine.batches import MediaGroup, media_groups, plan_batches
from llava_eval.engine.ray.work import Work, again, as_work
from llava_eval.types import Media, Sample


def sample(name: str, video: str) -> Sample:
    return Sample(name, 0, video, (Media("video", f"{video}.mp4"), "Why?"), ("A",))


SAMPLES = [sample("1", "a"), sample("2", "a"), sample("3", "b")]


def names(work: Work) -> list[str]:
    return [one.id for one in work.samples]


def test_batches_keep_groups_whole_and_in_order() -> None:
    samples = [sample(str(n), "abcde"[n // 3]) for n in range(14)]
    groups = media_groups(samples)
    assert [len(group.samples) for group in groups] == [3, 3, 3, 3, 2]
    for size, sizes in ((6, [6, 6, 2]), (7, [6, 6, 2]), (2, [3, 3, 3, 3, 2]), (99, [14])):
        batches = plan_batches(groups, size)
        assert [sum(len(group.samples) for group in batch) for batch in batches] == sizes
        assert [group for batch in batches for group in batch] == groups


def test_a_batch_is_repeated_then_taken_apart_then_given_up() -> None:
    (first,) = as_work([tuple(media_groups(SAMPLES))])
    assert not first.wants_to_be_alone
    (second,), failed = again(first, 4)
    assert names(second) == ["1", "2", "3"]
    assert second.wants_to_be_alone
    assert failed == []
    lone, failed = again(second, 4)
    assert [names(work) for work in lone] == [["1"], ["2"], ["3"]]
    assert [work.groups[0].media for work in lone] == [one.media for one in SAMPLES]
    assert failed == []
    (still,), failed = again(lone[1], 4)
    assert names(still) == ["2"]
    assert failed == []
    works, failed = again(still, 4)
    assert works == []
    assert [one.id for one in failed] == ["2"]


def test_no_sample_is_given_up_that_was_never_alone() -> None:
    for max_tries in range(2, 9):
        works = as_work([(MediaGroup(SAMPLES[0].media, tuple(SAMPLES[:2])),)])
        for _ in range(max_tries):
            tried = [again(work, max_tries) for work in works]
            for work, (_, failed) in zip(works, tried, strict=True):
                assert not failed or len(work.samples) == 1
            works = [work for more, _ in tried for work in more]
        assert works == []
