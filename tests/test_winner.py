import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from finished_run import tiny, tiny_model, write_backbone, write_seed, write_winners
from safetensors.torch import load_file, save_file

from core.errors import UserError
from core.names import Task
from core.run_folder import RunFolder
from core.weights import Weights
from core.winner import load_model, read_backbone, read_winners

CPU = torch.device("cpu")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "a")
    made.path.mkdir()
    for number in (10, 9, 0):
        write_seed(made, "gender", number, trial=4, architecture="gender")
    write_winners(made, [("gender", 1, 4, 3), ("gender-2", 2, 7, 3)])
    return made


def test_seeds_are_in_the_order_of_their_numbers(run: RunFolder) -> None:
    (winner,) = read_winners(run)
    assert winner.replicates == (0, 9, 10)
    assert [folder.name for folder in winner.folders] == ["seed-0", "seed-9", "seed-10"]
    assert len(winner.curves) == 3


def test_only_models_of_the_first_rank_are_winners(run: RunFolder) -> None:
    assert "1.0" not in run.winners.read_text()
    run.winners.write_text(run.winners.read_text().replace("gender,1,4,3", "gender,1.0,4.0,3.0"))
    assert [(w.label, w.row["trial"], w.row["seeds"]) for w in read_winners(run)] == [("gender", 4, 3)]


def test_a_seed_whose_retraining_failed_is_not_counted(run: RunFolder) -> None:
    run.winner("gender", 11).mkdir()
    assert read_winners(run)[0].replicates == (0, 9, 10)


def test_a_seed_of_another_trial_is_refused_and_the_run_is_to_be_resumed(run: RunFolder) -> None:
    shutil.rmtree(run.winner("gender", 9))
    write_seed(run, "gender", 9, trial=5, architecture="gender")
    with pytest.raises(UserError, match=r"seed-9: retrained from trial 5, winners\.csv lists trial 4; .*--resume a"):
        read_winners(run)


def test_fewer_seeds_than_listed_are_refused_and_the_run_is_to_be_resumed(run: RunFolder) -> None:
    (run.winner("gender", 9) / "config.json").unlink()
    with pytest.raises(UserError, match=r"gender: 2 retrained seeds, winners\.csv lists 3; .*--resume a"):
        read_winners(run)


def test_more_seeds_than_listed_are_refused(run: RunFolder) -> None:
    write_seed(run, "gender", 11, trial=4, architecture="gender")
    with pytest.raises(UserError, match=r"4 retrained seeds, winners\.csv lists 3"):
        read_winners(run)


def test_seeds_that_differ_in_their_settings_are_refused(run: RunFolder) -> None:
    shutil.rmtree(run.winner("gender", 9))
    write_seed(run, "gender", 9, trial=4, architecture="gender", lr=0.5)
    with pytest.raises(UserError, match="its seeds differ in their settings"):
        read_winners(run)


def test_a_run_without_winners_is_to_be_finished(run: RunFolder) -> None:
    run.winners.unlink()
    with pytest.raises(
        UserError, match=r"no winners yet; finish the search first: python scripts/search\.py --resume a"
    ):
        read_winners(run)


def text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content)


DAMAGES = {
    "empty table": ("winners.csv", text("")),
    "table without columns": ("winners.csv", text("a,b\n1,2\n")),
    "table of words": ("winners.csv", text("model,rank,trial,seeds\ngender,first,4,3\n")),
    "half a rank": ("winners.csv", text("model,rank,trial,seeds\ngender,1.5,4,3\n")),
    "model without a rank": ("winners.csv", text("model,rank,trial,seeds\ngender,,4,3\n")),
    "rows of different length": ("winners.csv", text("model,rank,trial,seeds\ngender,1,4,3\n1,2,3,4,5,6\n")),
    "table that is no text": ("winners.csv", lambda path: path.write_bytes(b"\xff\xfe\x00")),
    "table with the baseline alone": ("winners.csv", text("model,rank,trial,seeds\nmean face / prior,,,\n")),
    "missing curve": ("winners/gender/seed-9/curve.csv", Path.unlink),
    "empty curve": ("winners/gender/seed-9/curve.csv", text("")),
    "curve without rows": ("winners/gender/seed-9/curve.csv", text("epoch,val_loss\n")),
    "curve without epochs": ("winners/gender/seed-9/curve.csv", text("val_loss\n1\n")),
    "curve of words": ("winners/gender/seed-9/curve.csv", text("epoch,val_loss\n1,low\n")),
    "record that is not JSON": ("winners/gender/seed-9/config.json", text("{")),
    "record of another kind": ("winners/gender/seed-9/config.json", text("[]")),
    "record without a trial": ("winners/gender/seed-9/config.json", text('{"config": {}}')),
    "record with a list of settings": ("winners/gender/seed-9/config.json", text('{"trial": 4, "config": [1]}')),
    "record with a bad setting": ("winners/gender/seed-9/config.json", text('{"trial": 4, "config": {"lr": -1}}')),
}


@pytest.mark.parametrize(("file", "damage"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_named(run: RunFolder, file: str, damage: Callable[[Path], object]) -> None:
    damage(run.path / file)
    with pytest.raises(UserError) as caught:
        read_winners(run)
    assert str(caught.value).startswith(f"{run.path / file}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("frozen_blocks", [5, 4])
def test_a_loaded_model_predicts_what_the_saved_one_did(tmp_path: Path, weights: Weights, frozen_blocks: int) -> None:
    run = RunFolder(tmp_path)
    settings = {"architecture": "attention", "frozen_blocks": frozen_blocks, "d_k": 3}
    saved = tiny_model(tiny(**settings), 0)
    learned = {name for name, parameter in saved.named_parameters() if parameter.requires_grad}
    saved.features.load_state_dict(weights.features)
    write_backbone(run, weights)
    folder = write_seed(run, "attention", 0, **settings)
    if frozen_blocks < 5:  # a layer that went on from the backbone's
        tensors = load_file(folder / "weights.safetensors")
        for name in learned & {name for name in tensors if name.startswith("features")}:
            tensors[name] = weights.tensors[name] * 1.5
            saved.state_dict()[name].copy_(tensors[name])
        save_file(tensors, folder / "weights.safetensors")
    write_winners(run, [("attention", 1, 1, 1)])
    (winner,) = read_winners(run)
    loaded = load_model(read_backbone(run), winner, winner.folders[0], CPU)
    images = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8)
    with torch.no_grad():
        ours, theirs = (model(model.frozen_features(images)) for model in (loaded, saved.eval()))
    assert set(ours) == set(Task)
    assert all(torch.allclose(ours[task], theirs[task], rtol=1e-3, atol=1e-4) for task in Task)
    assert {name for name, parameter in loaded.named_parameters() if parameter.requires_grad} == learned


def other_model(path: Path) -> None:
    tensors = load_file(path)
    save_file({name: t.repeat(2, *[1] * (t.ndim - 1)) for name, t in tensors.items()}, path)


def one_layer_less(path: Path) -> None:
    save_file(dict(list(load_file(path).items())[1:]), path)


def not_finite(path: Path) -> None:
    save_file({name: t * np.nan for name, t in load_file(path).items()}, path)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


WEIGHT_DAMAGES = [Path.unlink, cut_short, lambda p: p.write_bytes(b""), other_model, one_layer_less, not_finite]


@pytest.mark.parametrize("damage", WEIGHT_DAMAGES)
def test_damaged_weights_are_named(run: RunFolder, weights: Weights, damage: Callable[[Path], object]) -> None:
    (winner,) = read_winners(run)
    path = winner.folders[1] / "weights.safetensors"
    damage(path)
    load_model(weights, winner, winner.folders[0], CPU)
    with pytest.raises(UserError) as caught:
        load_model(weights, winner, winner.folders[1], CPU)
    assert str(caught.value).startswith(f"{path}: ")


def test_of_an_older_versions_weights_only_what_is_learned_is_taken(tmp_path: Path, weights: Weights) -> None:
    run = RunFolder(tmp_path)
    heatmap = {"frozen_blocks": 4, "landmark_head": "heatmap", "heatmap_block": 4}
    folder = write_seed(run, "landmarks", 0, architecture="landmarks", **heatmap)
    write_winners(run, [("landmarks", 1, 1, 1)])
    path, name = folder / "weights.safetensors", "features.24.weight"
    learned = load_file(path)
    assert name not in learned
    save_file({**learned, name: torch.zeros(512, 512, 3, 3)}, path)
    (winner,) = read_winners(run)
    model = load_model(weights, winner, folder, CPU)
    assert torch.equal(model.state_dict()[name], weights.features["24.weight"])
    save_file({**learned, name: torch.zeros(8)}, path)
    with pytest.raises(UserError, match=r"not the weights of this winner \(features.24.weight is \(8,\)"):
        load_model(weights, winner, folder, CPU)


@pytest.mark.parametrize("damage", WEIGHT_DAMAGES)
def test_a_damaged_backbone_is_named(run: RunFolder, weights: Weights, damage: Callable[[Path], object]) -> None:
    write_backbone(run, weights)
    damage(run.backbone)
    with pytest.raises(UserError) as caught:
        read_backbone(run)
    assert str(caught.value).startswith(f"{run.backbone}: ")


def test_a_model_that_names_a_place_outside_the_run_is_refused(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    write_seed(RunFolder(tmp_path / "other"), "gender", 0, architecture="gender")
    for label in ("../../other/winners/gender", "", "gender/../gender", "/etc", "gender-2-3"):
        write_winners(run, [(label, 1, 1, 1)])
        with pytest.raises(UserError, match=r"winners\.csv: a model must be one of gender, landmarks"):
            read_winners(run)


def test_a_model_that_is_listed_twice_or_has_words_for_scores_is_refused(tmp_path):
    run = RunFolder(tmp_path)
    write_seed(run, "gender", 0, architecture="gender")
    write_winners(run, [("gender", 1, 1, 1), ("gender", 1, 1, 1)])
    with pytest.raises(UserError, match=r"winners\.csv: a model must be listed once"):
        read_winners(run)
    write_winners(run, [("gender", 1, 1, 1)])
    run.winners.write_text(run.winners.read_text().replace("7.5", "good"))
    with pytest.raises(UserError, match=r"winners\.csv: not the table of winners"):
        read_winners(run)


def test_an_infinite_curve_is_refused(tmp_path):
    run = RunFolder(tmp_path)
    folder = write_seed(run, "gender", 0, architecture="gender")
    write_winners(run, [("gender", 1, 1, 1)])
    (folder / "curve.csv").write_text("epoch,val_loss\n1,inf\n")
    with pytest.raises(UserError, match=r"curve\.csv: not a learning curve"):
        read_winners(run)
