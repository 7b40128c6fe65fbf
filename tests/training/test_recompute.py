from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from avzsl.benchmark import assemble
from avzsl.benchmark.synthetic import small, write
from avzsl.config.load import SHIPPED, Benchmark, Method
from avzsl.config.methods import MethodConfig, Overrides, TrainingConfig
from avzsl.contracts.arrays import read_arrays, write_arrays
from avzsl.contracts.errors import DataError
from avzsl.contracts.schemas import HISTORY, PREDICTIONS
from avzsl.contracts.tables import read_table, write_table
from avzsl.evaluation import intersection, recompute
from avzsl.training.run import run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    counts, vectors = small((6, 3, 3), clips=6)
    files = write(folder / "in", counts, vectors)
    assemble(files.split, files.pack, [], files.embeddings, folder / "b")
    config = MethodConfig.model_validate(yaml.safe_load((SHIPPED / "methods" / "cjme.yaml").read_text()))
    training = TrainingConfig(epochs=2, batches_per_epoch=5, batch_size=16)
    method = Method("cjme", config, config.options, training)
    benchmark = Benchmark("toy", "toy", "d", "f", "corrected", ("cjme",), (0,), Overrides())
    run(folder / "b", files.pack[0], files.embeddings, method, benchmark, 0, folder / "run", "cpu")
    return folder / "run"


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    for file in finished.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_every_number_of_a_run_follows_from_its_files(finished):
    got = recompute(finished)
    record = json.loads((finished / "run.json").read_text())
    assert {"seen", "unseen", "hm", "zsl", "per_class", "best_beta_on_test", "retrieval", "epoch"} <= set(got)
    assert got["hm"] == pytest.approx(record["hm"])


@pytest.mark.parametrize("key", ["seen", "zsl", "epoch", "per_class", "retrieval"])
def test_a_number_that_was_changed_is_found(copy, key):
    record = json.loads((copy / "run.json").read_text())
    value = record[key]
    if isinstance(value, dict):
        first = sorted(value)[0]
        value[first] = {**value[first], "seen": 1.234} if isinstance(value[first], dict) else 1.234
    else:
        record[key] = value + 0.001 if key != "epoch" else value + 1
    (copy / "run.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match=key):
        recompute(copy)


def test_another_epoch_than_stage_one_chose_is_found(copy):
    """Stage 2 says the same epoch as the record; what was chosen stands in stage 1."""
    history = read_table(copy / "history.parquet", HISTORY)
    first = history["stage"] == 1
    history.loc[first, "selected"] = ~history.loc[first, "selected"].to_numpy(bool)
    write_table(copy / "history.parquet", history, HISTORY)
    with pytest.raises(DataError, match="epoch is"):
        recompute(copy)


def test_predictions_that_do_not_follow_from_the_distances_are_found(copy):
    arrays, header = read_arrays(copy / "scores.safetensors")
    arrays["distances"][:, :] = arrays["distances"][:, ::-1]
    write_arrays(copy / "scores.safetensors", arrays, header)
    with pytest.raises(DataError, match="does not follow from the distances"):
        recompute(copy)


def test_scores_on_shared_clips_only(finished, copy):
    table = read_table(finished / "predictions.parquet", PREDICTIONS)
    write_table(copy / "predictions.parquet", table.iloc[::2], PREDICTIONS)
    both = intersection([finished, copy])
    assert both[0] == both[1]
    part = table.iloc[::2]
    right = (part["predicted"] == part["class_name"]).groupby(part["class_name"]).mean()
    unseen = set(part.loc[part["subset"] == "test_unseen", "class_name"])
    assert both[0]["unseen"] == pytest.approx(100 * np.mean([right[c] for c in unseen]))
    write_table(copy / "predictions.parquet", table.assign(clip_id="x" + table["clip_id"]), PREDICTIONS)
    with pytest.raises(DataError, match="shares no test clip"):
        intersection([finished, copy])


def test_the_saved_model_gives_the_saved_distances(finished):
    from avzsl.methods import Dims, build

    arrays, header = read_arrays(finished / "model.safetensors")
    model = build("cjme", Dims(**header["dims"]), header["config"]["options"])
    model.load_state_dict({key: torch.from_numpy(value) for key, value in arrays.items()})
    assert header["config"]["method"] == "cjme"
