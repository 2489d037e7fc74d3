"""What comes of a search for two goals: whom of each front to retrain, the front in words, and as a figure."""

import pandas as pd

from core.names import GOALS, TASKS
from core.pareto import Point, goals_of, spread_out
from core.patience import Patience, Say
from core.run_folder import RunFolder
from tune.ledger import Entry, Ledger
from tune.plan import Plan
from tune.winners import FRONT_CHANCE, Candidate, choose


def front_candidates(ledger: Ledger, plan: Plan, nothing: Point) -> list[Candidate]:
    """Up to ``top_k`` trials of the front of each kind of model: the best compromise, then always the one that adds
    most hypervolume to those before it. A kind with one task has one goal, so its front is its best trial.

    Args:
        nothing: both goals of knowing nothing, from where hypervolume is measured.
    """
    ranks, fronts = ledger.front_ranks(), dict[str, list[Entry]]()
    for entry in ledger.ranked():
        if ranks[entry.number] == 1:
            fronts.setdefault(str(entry.config.get("architecture", "")), []).append(entry)
    order: list[Entry] = []
    for members in fronts.values():
        points = [goals_of(entry.best(ledger.objective)) for entry in members]
        order += [members[index] for index in spread_out(points, plan.top_k, nothing)]
    return choose(order, plan.search_space().fixed, plan.top_k)


def front_sentences(ledger: Ledger, plan: Plan, winners: pd.DataFrame) -> list[str]:
    """A sentence for each kind of model with both tasks: how large its front is, and who of it was retrained."""
    ranks, fixed = ledger.front_ranks(), plan.search_space().fixed
    sentences = []
    for kind in (str(kind) for kind, tasks in TASKS.items() if len(tasks) == 2):
        of_kind = [n for n in ranks if {**fixed, **ledger.entries[n].config}["architecture"] == kind]
        rows = [row for _, row in winners[winners["architecture"] == kind].sort_values(GOALS[0]).iterrows()]
        if rows:
            on_front = sum(ranks[number] == 1 for number in of_kind)
            listed = "; ".join(map(_in_words, rows))
            sentences.append(f"front of {kind}: {on_front} of {len(of_kind)} trials; retrained, by gender: {listed}")
    return sentences


def _in_words(row: pd.Series) -> str:
    chance = row.get(FRONT_CHANCE)
    sure = "" if chance is None or pd.isna(chance) else f", on the front of them with probability {chance:.2f}"
    return f"{row['model']} (cross-entropy {row[GOALS[0]]:.3f}, NME {row[GOALS[1]]:.2f} %{sure})"


def draw_front(run: RunFolder, say: Say) -> None:
    """Write ``front.png`` from the run's files.

    Raises:
        UserError: one of them is damaged, or storage took nothing for too long.
    """
    # Matplotlib takes a second to load, which searches for one goal do without.
    from core.front import read_front
    from core.front_figure import front_figure
    from core.looks import save_figure

    figure = front_figure(read_front(run, run.read_search()))
    patience = Patience(say, after=f"; nothing that ended is lost: go on with {run.again}")
    patience(lambda: save_figure(figure, run.front), run.front)
    say(f"figure of the front: {run.url(run.front.name) or run.front}")
