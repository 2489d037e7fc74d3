"""How sure it is which of the winners is the best: a probability for each, and what that decides, in a sentence."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from core.kept_predictions import PREDICTIONS, read_predictions
from core.metrics import face_errors
from core.names import GOALS, MEAN_FACE, TASKS, Architecture
from core.objective import Objective
from core.standing import SURE, chances_over_seeds, cost_by, front_chances_over_seeds
from tune.materials import Materials
from tune.plan import Plan
from tune.progress import Counter
from tune.study import Sampler
from tune.winners import CHANCE, Candidate


def chances_by_label(
    candidates: Sequence[Candidate], folders: Mapping[str, Sequence[Path]], plan: Plan, materials: Materials
) -> dict[str, float]:
    """The probability that each candidate is the best among those of the same tasks, by label; with two goals, that
    none of the same kind of model dominates it.

    What has no rival there is left out, and so is one of which a retraining failed (what is left tells too little of
    its noise), and a group with a winner of an older version of Tandem, which left no predictions.

    Args:
        folders: of each candidate's retrained seeds.

    Raises:
        UserError: predictions are damaged.
    """
    aims = [Objective(name) for name in GOALS] if plan.two_goals else [plan.ranking()]
    costs = [cost for aim in aims if (cost := cost_by(aim, materials.baseline()["nme_pct"])) is not None]
    truth = materials.inputs[0].validation.truth
    found: dict[str, float] = {}
    seeds_of = {label: [folder.name for folder in places] for label, places in folders.items()}
    most = max((seeds_of[candidate.label] for candidate in candidates), key=len)
    whole = [candidate for candidate in candidates if seeds_of[candidate.label] == most]
    for group in _rivals(whole, plan.two_goals):
        places = [folders[candidate.label] for candidate in group]
        if not costs or not all((folder / PREDICTIONS).is_file() for seeds in places for folder in seeds):
            continue
        models = [
            [face_errors(read_predictions(folder, len(truth.gender)), truth) for folder in seeds] for seeds in places
        ]
        counter = Counter("comparing winners")
        if plan.two_goals:
            shares = front_chances_over_seeds(models, costs, plan.verdict_seed(), report=counter)
        else:
            shares = chances_over_seeds(models, costs[0], plan.verdict_seed(), report=counter)
        found |= {candidate.label: share for candidate, share in zip(group, shares, strict=True)}
    return found


def _rivals(candidates: Sequence[Candidate], two_goals: bool) -> list[list[Candidate]]:
    """Candidates of the same tasks, where there are several; with two goals, of the same kind of model with both."""
    groups: dict[object, list[Candidate]] = {}
    for candidate in candidates:
        kind = candidate.architecture
        if not two_goals:
            groups.setdefault(TASKS[kind], []).append(candidate)
        elif len(TASKS[kind]) == 2:
            groups.setdefault(kind, []).append(candidate)
    return [group for group in groups.values() if len(group) > 1]


def verdict(winners: pd.DataFrame, plan: Plan, faces: int, trials: Mapping[str, int]) -> list[str]:
    """What the winners' table decides, a sentence for each group of rivals, and one on those chosen without any.

    Args:
        winners: as :func:`tune.winners.winners_table` makes it.
        faces: in validation.
        trials: that were trained and ranked, by kind of model.
    """
    if plan.two_goals:
        return []  # what was found is a front, and ``tune.front`` says so
    rows = winners[winners["model"] != MEAN_FACE]
    rivals = rows.dropna(subset=[CHANCE])
    tasks = rivals["architecture"].map(_tasks)
    sentences = [_decided(name, group, faces) for name, group in rivals.groupby(tasks, sort=False)]
    sentences += _untold(rows, plan)
    chosen = {kind: trials[kind] for kind in dict.fromkeys(rows["architecture"]) if trials.get(kind, 0) > 1}
    compared = plan.top_k > 1 or plan.race or plan.sampler is Sampler.GRID or plan.ranking().name == "val_loss"
    return sentences if compared or not chosen else [*sentences, _lone(chosen, plan)]


def _untold(rows: pd.DataFrame, plan: Plan) -> list[str]:
    """Of winners of the same tasks of which none has a chance: that, and why."""
    sentences = []
    for tasks, group in rows.groupby(rows["architecture"].map(_tasks), sort=False):
        if len(group) < 2 or group[CHANCE].notna().any():
            continue
        why = "winners of which all seeds were retrained are too few"
        if plan.ranking().name == "val_loss":
            why = "a loss is known of all faces together only; --rank-by takes scores that are known of each"
        sentences.append(f"retrained, {tasks}: how sure it is which is the best cannot be told ({why})")
    return sentences


def _tasks(architecture: str) -> str:
    return " and ".join(TASKS[Architecture(architecture)])


def _lone(chosen: Mapping[str, int], plan: Plan) -> str:
    """What leaders are that nothing was compared with after the search; ``chosen`` has how many trials by kind."""
    trained = "one training" if plan.folds == 1 else f"{plan.folds} folds"
    among = f"the winner was chosen among {next(iter(chosen.values()))} trials"
    if len(chosen) > 1:
        among = (
            f"each winner was chosen among the trials of its kind ({', '.join(f'{k} {n}' for k, n in chosen.items())})"
        )
    return (
        f"{among} by {trained} each, so another may be as good: "
        "a search with --race 4, or with --top-k 3, compares the leaders"
    )


def _decided(tasks: str, group: pd.DataFrame, faces: int) -> str:
    chances, seeds = dict(zip(group["model"], group[CHANCE], strict=True)), int(group["seeds"].min())
    if seeds == 1:
        best = max(chances, key=lambda label: chances[label])
        seen = f"{best} looks best ({_probability(chances[best])} over {faces} validation faces)"
        return f"retrained, {tasks}: {seen}; one seed cannot tell, as another may turn it"
    return sentence(f"retrained, {tasks}", chances, f"{faces} validation faces and {seeds} seeds")


def _probability(chance: float) -> str:
    """As far as resamples can tell it."""
    return "> 0.99" if chance > 0.99 else f"{chance:.2f}"


def sentence(title: str, chances: Mapping[str, float], known: str, note: str = "") -> str:
    """What chances of being the best decide.

    Args:
        chances: by name, of at least two that were compared.
        known: what they rest on, in a few words.
        note: what else is to be said of it.
    """
    ordered = sorted(chances.items(), key=lambda item: -item[1])
    if ordered[0][1] >= SURE:
        rivals = "the other" if len(ordered) == 2 else f"the {len(ordered) - 1} others"
        known = f"probability {_probability(ordered[0][1])} ({known}{note})"
        return f"{title}: {ordered[0][0]} is better than {rivals} with {known}"
    total, tied = 0.0, []
    for name, chance in ordered:
        total += chance
        tied.append(f"{name} ({chance:.2f})")
        if total >= SURE:
            break
    listed = ", ".join(tied[:-1]) + f" and {tied[-1]}"
    return f"{title}: a tie; the best may be {listed} ({known} cannot tell{note})"
