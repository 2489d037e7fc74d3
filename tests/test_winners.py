from dataclasses import replace

from test_plan import grid

from core.names import Architecture
from core.objective import Objective
from tune.ledger import Ledger, Status
from tune.winners import IN_RACE, Candidate, choose, ranked, winners_table

DK = (32, 64, 128, 256, 512)


def ledger_of(tmp_path, losses, nmes):
    """Trials with two epochs each, the first by far the better one by loss."""
    ledger = Ledger(tmp_path / "trials.csv", tmp_path / "curves.csv", Objective("val_loss"))
    for number, (loss, nme) in enumerate(zip(losses, nmes, strict=True)):
        entry = ledger.add(number, {"d_k": DK[number % 5]})
        entry.curve = [
            {"epoch": 1, "val_loss": loss, "val_nme_pct": nme, "seconds_per_epoch": 1.0},
            {"epoch": 2, "val_loss": loss + 9, "val_nme_pct": 0.0, "seconds_per_epoch": 1.0},
        ]
        entry.status = Status.FINISHED
    return ledger


def test_the_cell_with_the_best_mean_wins_though_another_has_the_best_single_run(tmp_path):
    plan = grid(replicates=2, objective="val_loss")
    losses = [0.1, 0.4, 0.5, 0.5, 0.5, 0.9, 0.4, 0.5, 0.5, 0.5]
    best = ranked(ledger_of(tmp_path, losses, [1.0] * 10), plan)
    assert [entry.config["d_k"] for entry in best[:2]] == [64, 32]
    assert choose(best, plan.search_space().fixed, 1)[0].config["d_k"] == 64


def test_the_ranking_metric_chooses_among_the_epochs_that_the_objective_chose(tmp_path):
    plan = grid(objective="val_loss", rank_by="val_nme_pct")
    best = ranked(ledger_of(tmp_path, [1, 2, 3, 4, 5], [9.0, 8.0, 5.0, 7.0, 6.0]), plan)
    assert [entry.config["d_k"] for entry in best] == [128, 512, 256, 64, 32]


def test_a_cell_of_which_one_replicate_failed_ranks_last(tmp_path):
    plan = grid(replicates=2, objective="val_loss")
    ledger = ledger_of(tmp_path, [0.1, 2, 3, 4, 5] * 2, [1.0] * 10)
    ledger.entries[5].status = Status.FAILED
    assert [entry.config["d_k"] for entry in ranked(ledger, plan)] == [64, 128, 256, 512, 32]


def test_where_each_cell_lacks_a_replicate_they_are_ranked_by_those_that_they_have(tmp_path):
    plan = grid(replicates=3, objective="val_loss")
    ledger = ledger_of(tmp_path, [5, 4, 3, 2, 1] * 3, [1.0] * 15)
    for number in (*range(10, 15), 9):  # the best one by its mean lacks two
        ledger.entries[number].status = Status.FAILED
    assert [entry.config["d_k"] for entry in ranked(ledger, plan)] == [256, 128, 64, 32, 512]


def test_after_a_race_winners_say_how_likely_they_were_its_best():
    scores = [{"epoch": 1, "val_loss": 0.5}]
    racers = [
        Candidate(label, Architecture.GENDER, 3, {}, raced) for label, raced in (("gender", 0.9), ("gender-2", 0.1))
    ]
    best = {racer.label: scores for racer in racers}
    table = winners_table(racers, best, Objective("val_loss"), {}, {}, judged=True).set_index("model")
    assert table[IN_RACE][:2].to_dict() == {"gender": 0.9, "gender-2": 0.1}
    alone = winners_table([replace(racers[0], raced=None)], best, Objective("val_loss"), {}, {})
    assert IN_RACE not in alone
