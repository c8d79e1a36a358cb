"""What is tried again, and what is given up."""

from __future__ import annotations

from llava_eval.engine.batches import MediaGroup, media_groups, plan_batches
from llava_eval.engine.ray.task import BatchTask
from llava_eval.types import Media, Sample


def sample(name: str, video: str) -> Sample:
    return Sample(name, 0, video, (Media("video", f"{video}.mp4"), "Why?"), ("A",))


SAMPLES = [sample("1", "a"), sample("2", "a"), sample("3", "b")]


def names(task: BatchTask) -> list[str]:
    return [item.id for item in task.samples]


def test_batches_keep_groups_whole_and_in_order() -> None:
    samples = [sample(str(n), "abcde"[n // 3]) for n in range(14)]
    groups = media_groups(samples)
    assert [len(group.samples) for group in groups] == [3, 3, 3, 3, 2]
    for size, sizes in ((6, [6, 6, 2]), (7, [6, 6, 2]), (2, [3, 3, 3, 3, 2]), (99, [14])):
        batches = plan_batches(groups, size)
        assert [sum(len(group.samples) for group in batch) for batch in batches] == sizes
        assert [group for batch in batches for group in batch] == groups


def test_a_batch_is_repeated_then_taken_apart_then_given_up() -> None:
    first = BatchTask(0, tuple(media_groups(SAMPLES)))
    assert not first.runs_alone
    (second,), failed = first.after_death(4)
    assert names(second) == ["1", "2", "3"]
    assert second.runs_alone
    assert failed == []
    lone, failed = second.after_death(4)
    assert [names(task) for task in lone] == [["1"], ["2"], ["3"]]
    assert [task.groups[0].media for task in lone] == [item.media for item in SAMPLES]
    assert failed == []
    (still,), failed = lone[1].after_death(4)
    assert names(still) == ["2"]
    assert failed == []
    tasks, failed = still.after_death(4)
    assert tasks == []
    assert [item.id for item in failed] == ["2"]


def test_no_sample_is_given_up_that_was_never_alone() -> None:
    for max_tries in range(2, 9):
        tasks = [BatchTask(0, (MediaGroup(tuple(SAMPLES[:2])),))]
        for _ in range(max_tries):
            tried = [task.after_death(max_tries) for task in tasks]
            for task, (_, failed) in zip(tasks, tried, strict=True):
                assert not failed or len(task.samples) == 1
            tasks = [task for more, _ in tried for task in more]
        assert tasks == []


def test_what_could_not_be_decoded_is_not_asked_nor_tried_again() -> None:
    groups = tuple(media_groups(SAMPLES))
    task = BatchTask(3, groups, num_losses=2)
    assert list(task.undecoded) == [0, 1]
    assert not task.is_decoded
    task.undecoded.clear()
    task.num_decoding = 1
    assert not task.is_decoded
    task.num_decoding = 0
    task.decoded = {1: "frames of b"}
    assert task.is_decoded
    assert task.keep_decoded() == ["frames of b"]
    assert names(task) == ["3"]
    again = task.again()
    assert (again.number, again.groups, again.num_losses) == (3, groups[1:], 2)
    assert not again.is_decoded
