"""A checkpoint as Spark writes it, read before Spark does: how far it came, or which file of it is not whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from experiments import Experiment

from bronze.checkpoint import Checkpoint, CheckpointDamagedError

PART = ("binance.trade", 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three batches have begun, each of ten records; the third is not done."""
    for name in ("offsets", "commits", "sources/0"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "metadata").write_text('{"id":"9d5be3a0-5ad8-4b5c-a4ea-6f0e4d2a2f0f"}')
    (tmp_path / "sources/0/0").write_bytes(b'\0v1\n{"binance.trade":{"2":0}}')
    for number in range(3):
        ends = f'{{"binance.trade":{{"2":{10 * (number + 1)}}}}}'
        (tmp_path / "offsets" / str(number)).write_text(f'v1\n{{"batchWatermarkMs":0,"conf":{{}}}}\n{ends}')
    for number in range(2):
        (tmp_path / "commits" / str(number)).write_text('v1\n{"nextBatchWatermarkMs":0}')
    return tmp_path


def commit(folder: Path, number: int) -> None:
    (folder / "commits" / str(number)).write_text('v1\n{"nextBatchWatermarkMs":0}')


def without_commits(folder: Path) -> None:
    for path in (folder / "commits").iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("change", "consumed"),
    [
        (lambda folder: None, {PART: 20}),  # the third batch is made again
        (lambda folder: commit(folder, 2), {PART: 30}),
        (without_commits, {PART: 20}),
        (lambda folder: (folder / "offsets" / ".3.5c1b.tmp").write_text("v1"), {PART: 20}),
        (lambda folder: (folder / "offsets" / "0").unlink(), {PART: 20}),  # Spark purges old ones
    ],
)
def test_what_is_consumed_is_what_the_last_finished_batch_ends_with(
    folder: Path, change: Callable[[Path], object], consumed: dict[tuple[str, int], int]
) -> None:
    change(folder)
    assert Checkpoint.read(folder).consumed == consumed


def test_a_first_start_has_consumed_nothing(tmp_path: Path) -> None:
    assert Checkpoint.read(tmp_path / "none").consumed == {}
    (tmp_path / "metadata").write_text('{"id":"a"}')
    assert Checkpoint.read(tmp_path).consumed == {}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("metadata", "metadata is missing"),
        ("offsets/1", "offsets/1 is missing"),
        ("offsets/2", ""),  # as before the third batch began
    ],
)
def test_a_file_that_is_gone_is_named(folder: Path, name: str, said: str) -> None:
    (folder / name).unlink()
    if not said:
        assert Checkpoint.read(folder).consumed == {PART: 20}
        return
    with pytest.raises(CheckpointDamagedError, match=said) as refused:
        Checkpoint.read(folder)
    assert f"Remove the folder {folder}" in str(refused.value)


def test_a_batch_that_is_done_and_never_began_is_named(folder: Path) -> None:
    commit(folder, 2)
    (folder / "offsets" / "2").unlink()
    with pytest.raises(CheckpointDamagedError, match="offsets/2 is missing"):
        Checkpoint.read(folder)


@pytest.mark.experiment(
    17,
    fault="every file of a checkpoint cut short, at every byte",
    holds="I9: a stop before anything is written, which names the file and the folder to remove",
)
@pytest.mark.parametrize("name", ["metadata", "offsets/1", "offsets/2", "commits/1", "sources/0/0"])
def test_a_file_cut_short_anywhere_is_named(folder: Path, name: str, experiment: Experiment) -> None:
    whole = (folder / name).read_bytes()
    for length in range(len(whole)):
        experiment.done()
        (folder / name).write_bytes(whole[:length])
        with pytest.raises(CheckpointDamagedError, match=f"{name} is not whole"):
            Checkpoint.read(folder)
