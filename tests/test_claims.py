import math

import numpy as np
import pytest
from finished_run import FACE, made_predictions, tiny

from core.claims import TABLE_CLAIMS, Cell, cell_label, model_conclusions, table_conclusion
from core.conclusions import REVERSED, SUPPORTED, UNDECIDED
from core.config import learns_apart
from core.metrics import Truth
from core.names import Architecture
from core.published import published_table
from core.replication import CHOICES
from tune.paper_plan import STEPS, papers_cell

COUNT = 12
GENDER = np.arange(COUNT) % 2
TRUTH = Truth(GENDER, np.tile(FACE, (COUNT, 1, 1)))


def shifted(px, tasks="gender landmarks"):
    return made_predictions(TRUTH.landmarks, GENDER, px, tasks)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.numeral)
def test_the_rule_that_chooses_rows_makes_the_papers_choices_of_the_papers_own_tables(step):
    table = published_table(step.number)
    best = table.loc[table[step.rank_by.removeprefix("val_")].idxmin()]
    assert {key: best[key] for key in CHOICES[step.number]} == papers_cell(step)


def test_the_smallest_loss_would_not_have_made_the_papers_choices_of_tables_2_and_3():
    assert published_table(2).set_index("landmark_loss")["loss"].idxmin() == "smooth_l1"
    assert tuple(published_table(3).set_index(["lambda1", "lambda2"])["loss"].idxmin()) == (1, 1)


@pytest.mark.parametrize("number", TABLE_CLAIMS)
def test_every_claim_is_of_a_row_that_the_paper_has(number):
    rows = published_table(number)[list(CHOICES[number])].itertuples(index=False)
    assert TABLE_CLAIMS[number][0] in [cell_label(list(row)) for row in rows]


def test_the_lead_over_the_best_rival_is_in_points_of_nme():
    cells = [
        Cell(name, tiny(), (shifted(px, "landmarks"),) * 2) for name, px in {"l1": 6.4, "l2": 12.8, "wing": 9.6}.items()
    ]
    found = table_conclusion(2, cells, 2, TRUTH)
    assert found.rival == "wing"
    assert found.difference[0] == pytest.approx(5.0, abs=1e-4)  # 3.2 px of 64
    assert found.paper == pytest.approx(16.469 - 11.230)
    assert (found.held, found.verdict) == (2, SUPPORTED)


def test_a_loss_compares_by_the_models_own_loss():
    config = tiny(architecture="attention", lambda1=2.0, lambda2=20.0, landmark_loss="l1")
    cells = [Cell(name, config, (shifted(px),)) for name, px in {"512": 0.0, "32": 4.48}.items()]
    found = table_conclusion(4, cells, 1, TRUTH)
    assert found.difference[0] == pytest.approx(20 * 0.5 * 4.48 / 224, rel=1e-4)  # only x is off


def test_a_row_of_which_a_seed_failed_is_no_rival():
    cells = [
        Cell("l1", tiny(), (shifted(6.4),) * 2),
        Cell("l2", tiny(), (shifted(0.0),)),
        Cell("wing", tiny(), (shifted(9.0),) * 2),
    ]
    found = table_conclusion(2, cells, 2, TRUTH)
    assert found.rival == "wing"
    assert found.verdict == UNDECIDED  # the one that is missing might have been better
    assert found.measure.endswith("without l2, of which a seed failed")
    assert table_conclusion(2, [cells[0], cells[2]], 2, TRUTH).verdict == SUPPORTED


def test_where_nothing_trained_is_shared_nothing_is_concluded_of_learning_together():
    shared, apart = tiny(frozen_blocks=4), tiny(frozen_blocks=5)
    for config, seeds in ((shared, 2), (apart, 0)):
        cells = [Cell(label, config, (shifted(1.0),) * 2) for label in ("1, 20", "1, 1")]
        assert table_conclusion(3, cells, 2, TRUTH).seeds == seeds
    assert learns_apart(apart.flat())
    assert not learns_apart(tiny(frozen_blocks=5, weight_decay=0.01).flat())
    assert learns_apart(tiny(frozen_blocks=4, landmark_head="heatmap", heatmap_block=4).flat())
    assert not learns_apart(tiny(frozen_blocks=4, landmark_head="heatmap", heatmap_block=5).flat())
    tested = {name: {0: shifted(1.0)} for name in Architecture}
    assert [one.seeds for one in model_conclusions(tested, TRUTH)] == [1, 1, 1, 1]
    found = model_conclusions(tested, TRUTH, apart=True)
    assert [(one.seeds, bool(one.why)) for one in found] == [(0, True), (0, True), (1, False), (1, False)]


def test_a_lead_in_another_unit_than_the_papers_stands_alone():
    cells = [Cell(label, tiny(), (shifted(off),) * 2) for label, off in (("512", 1.0), ("32", 2.0))]
    same, other = (table_conclusion(4, cells, 2, TRUTH, papers_loss) for papers_loss in (True, False))
    assert not math.isnan(same.paper)
    assert math.isnan(other.paper)
    assert other.measure == "the model's loss, validation faces; in another unit than the paper's"
    assert other.difference == same.difference


def test_models_that_share_no_seed_are_not_compared():
    tested = {name: {i: shifted(1.0)} for i, name in enumerate(Architecture)}
    assert [one.seeds for one in model_conclusions(tested, TRUTH)] == [0, 0, 0, 0]


def test_the_papers_choice_without_all_its_seeds_is_not_measured():
    cells = [Cell("l1", tiny(), (shifted(1.0),)), Cell("l2", tiny(), (shifted(2.0),) * 2), Cell("wing", tiny(), ())]
    found = table_conclusion(2, cells, 2, TRUTH)
    assert (found.seeds, found.verdict) == (0, UNDECIDED)


def test_models_are_compared_over_the_seeds_that_both_have():
    two = {0: shifted(3.2), 1: shifted(3.2)}  # 5 % of the 64 px between the eyes
    tested = {
        Architecture.GENDER: {0: shifted(0, "gender"), 1: shifted(0, "gender")},
        Architecture.LANDMARKS: {0: shifted(0.64, "landmarks"), 2: shifted(99, "landmarks")},
        Architecture.MULTITASK: two,
        Architecture.ATTENTION: {0: shifted(1.6), 1: shifted(1.6)},
    }
    found = {one.claim[:2]: one for one in model_conclusions(tested, TRUTH)}
    assert found["5b"].seeds == 1
    assert found["5b"].difference[0] == pytest.approx(4.0, abs=1e-4)
    assert found["5b"].paper == pytest.approx(6.3802 - 6.2618)
    assert found["6b"].verdict == REVERSED
    assert found["6b"].paper == pytest.approx(7.2158 - 6.3802)
    assert found["5a"].paper == pytest.approx(0.9984 - 0.9920)
