"""Search for the best two-task face models, retrain the winners, and say what to do next.

    python scripts/search.py --space multitask
    python scripts/search.py --space joint --data data/celeba-mini --weights vgg16.pth --name first
    python scripts/search.py --resume first

Every setting of a trial can be fixed with --set, as in --set frozen_blocks=4 lr=3e-4; --describe prints a space.
"""

import shlex
import sys
import time
from collections import Counter
from dataclasses import replace
from typing import Any

from core.commands import Parser, program, script
from core.errors import UserError, run_script
from core.importance_table import sentences
from core.names import PARETO, Precision
from core.run_folder import RunFolder
from core.search_record import is_replication
from search_spaces.catalogue import SPACES, find_space
from search_spaces.parts import PARTS
from tune.branches import KIND
from tune.cluster import start_ray
from tune.front import draw_front, front_sentences
from tune.importance import write_importance
from tune.knowledge import PAPER, Knowledge
from tune.machine import Machine, plan_workers, workers_again
from tune.materials import Materials
from tune.nodes import check_nodes
from tune.options import (
    PLACE,
    Group,
    add_data_options,
    add_place_options,
    check_options,
    check_resumable,
    kept_places,
    place_on,
    run_to_resume,
    storage_of,
    take_up,
)
from tune.plan import OBJECTIVES, Plan, plan_from_json
from tune.planning import check_early, described, new_plan
from tune.profile import parse_settings
from tune.progress import clock, say
from tune.race import Race
from tune.report import planned, print_winners
from tune.retrain import retrain
from tune.run import create_run
from tune.search import Search
from tune.study import Sampler
from tune.two_goals import TOP_K

CHANGEABLE = PLACE | {"trials", "max_failures", "time_budget", "data", "weights"}
"""What --resume takes; all else stands in the run's search.json."""


def parser() -> Parser:
    """The command line; options not given are absent from the result, so that --resume can refuse them."""
    p = Parser(__doc__, absent=True)
    what = p.add_argument_group("what to search")
    what.add_argument("--space", metavar="NAME", help=f"{', '.join(SPACES)}, or a .json file")
    what.add_argument(
        "--vary",
        nargs="+",
        action="extend",
        metavar="PART",
        help=f"search these too, as far as they have an effect: {', '.join(PARTS)}",
    )
    what.add_argument("--describe", action="store_true", help="print the space and end")
    add_data_options(what, Plan.drawn_faces)
    add_search_options(p.add_argument_group("how to search"))
    add_winner_options(p.add_argument_group("the winners"))
    where = p.add_argument_group("where")
    add_place_options(where, "the space's name")
    return p


def add_search_options(how: Group) -> None:
    """How many trials, how long, how chosen and how judged."""
    how.add_argument("--trials", type=int, help=f"(default: {Plan.trials}; of a grid its rows, times --replicates)")
    how.add_argument(
        "--replicates", type=int, metavar="N", help="go through a grid N times, each with a new seed (default: 1)"
    )
    how.add_argument(
        "--folds", type=int, metavar="K", help="train each trial on K folds; its scores are their means (default: 1)"
    )
    how.add_argument("--epochs", type=int, help=f"of a trial that is not stopped (default: {Plan.epochs})")
    how.add_argument(
        "--sampler", choices=list(Sampler), help=f"what chooses settings (default: {Plan.sampler}; grid for paper_*)"
    )
    metrics = f"what trials are compared by: {', '.join(OBJECTIVES)}; or {PARETO}: gender and landmarks as two goals"
    how.add_argument("--objective", metavar="METRIC", help=f"{metrics} (default: {Plan.objective})")
    how.add_argument("--rank-by", metavar="METRIC", help="choose among trials by this (default: the objective)")
    how.add_argument(
        "--grace",
        type=int,
        metavar="EPOCHS",
        help=f"before a trial may be stopped (default: {Plan.grace}; a grid: all)",
    )
    how.add_argument(
        "--reduction",
        type=float,
        metavar="R",
        help=f"of the trials that reach G, G*R, G*R*R ... epochs (G: --grace) the best 1 in R goes on "
        f"(default: {Plan.reduction:g})",
    )
    how.add_argument(
        "--time-budget", type=float, metavar="SECONDS", help="of the trials; race and retraining come after"
    )
    how.add_argument(
        "--max-failures", type=int, help=f"failed trials that are tolerated (default: {Plan.max_failures})"
    )
    add_knowledge_options(how)
    how.add_argument("--seed", type=int, help=f"all random numbers follow from it (default: {Plan.seed})")


def add_knowledge_options(how: Group) -> None:
    """What is known before the first trial."""
    how.add_argument(
        "--warm-start",
        nargs="+",
        action="extend",
        metavar="RUN",
        help="begin with the leaders of earlier runs (a name, folder or URL) and learn from their trials",
    )
    how.add_argument(
        "--prior",
        metavar="RUN",
        help=f"draw early trials around the winners of a run, or {PAPER}: its choices; forgotten if they don't hold",
    )


def add_winner_options(after: Group) -> None:
    """Who is the best, and how it is trained in the end."""
    after.add_argument(
        "--race",
        type=int,
        metavar="N",
        help="train the N leaders of each kind of model again, on folds (5, or --folds), to tell the best (default: 0)",
    )
    after.add_argument(
        "--race-rounds", type=int, metavar="N", help=f"at most, each with a new seed (default: {Plan.race_rounds})"
    )
    how_many = f"(default: {Plan.top_k}; {TOP_K} of a front)"
    after.add_argument("--top-k", type=int, metavar="N", help=f"retrain the N best of each kind of model {how_many}")
    after.add_argument("--retrain-epochs", type=int, help=f"of each winner (default: {Plan.retrain_epochs})")
    after.add_argument("--retrain-seeds", type=int, help=f"of each winner (default: {Plan.retrain_seeds})")


def main() -> None:
    """Parse, search, print."""
    given = vars(parser().parse_args())
    if "resume" not in given and "space" not in given:
        raise UserError(f"--space NAME is needed: {', '.join(SPACES)}, or --resume NAME")
    check_options(given)
    if "resume" in given:
        resume(given)
    elif given.get("describe"):
        print(described(given))
    else:
        begin(given)


def begin(given: dict[str, Any]) -> None:
    """A new run."""
    settings = parse_settings(given.get("set", []))
    space = find_space(given["space"])
    storage = storage_of(given)
    run = storage.new_run(given.get("name"), space.name)
    known = Knowledge(given.get("warm_start", []), given.get("prior"), storage)
    given |= known.fresh_seed(given.get("seed"), say)
    check_early(given, space, settings)
    machine = started(given, run)
    workers = plan_workers(given.get("workers"), given.get("gpus_per_trial"), machine)
    plan, told = new_plan(given, space, settings, workers.gpus)
    for line in told:
        say(line)
    known.fit(plan, say)
    materials = Materials(plan, place_on(machine, given, workers), say)
    create_run(run, plan, materials, shlex.join(["python", *sys.argv]), known.head_start(materials.identity(), say))
    with storage.held(run, say, new=True):
        work(run, plan, materials)


def resume(given: dict[str, Any]) -> None:
    """Go on with a run."""
    check_resumable(given, CHANGEABLE)
    storage, run = run_to_resume(given)
    with storage.held(run, say):
        recorded = run.read_search()
        if is_replication(recorded) or run.whole is not run:
            what = "a replication of the paper" if run.whole is run else "a step of a replication of the paper"
            raise UserError(f"{run.path}: {what}; go on with it: {run.again}")
        take_up(given, recorded)
        plan = plan_from_json(recorded["plan"], str(run.search))
        changes = {key: given[key] for key in CHANGEABLE - PLACE if key in given}
        plan = replace(plan, **changes)
        machine = started(given, run)
        workers = workers_again(given, recorded["workers"], machine, say)
        place = place_on(machine, given, workers, Precision(recorded["precision"]))
        materials = Materials(plan, place, say)
        materials.check_same(recorded, str(run.search))
        run.write_search({**recorded, "plan": materials.settled_plan(), **kept_places(given, recorded)})
        work(run, plan, materials)


def started(given: dict[str, Any], run: RunFolder) -> Machine:
    """Ray, started or joined, with nodes that can all work for the run."""
    machine = start_ray(given.get("address"), say)
    say(f"{machine.cores} cores, {machine.gpus:g} GPUs")
    check_nodes(run, say)
    return machine


def work(run: RunFolder, plan: Plan, materials: Materials) -> None:
    """What a new run and a resumed one have in common: search, retrain, say what came out."""
    start = time.monotonic()
    say(
        f"run {run.path}: space {plan.space['name']}, {materials.told_faces()}, profile {plan.profile}, "
        f"{materials.precision}, {materials.workers.told()}"
        + (f", trials on {plan.folds} folds" if plan.folds > 1 else "")
    )
    say(planned(plan))
    with run.resumable(say):
        ledger = Search(plan, run, materials, say).go()
        candidates, decided = Race(plan, run, materials, ledger, say).go() if plan.race else (None, [])
        winners = retrain(plan, run, materials, ledger, say, candidates)
        mattered = sentences(write_importance(run, plan, ledger.entries.values(), ledger.patience))
    if plan.two_goals:
        decided = front_sentences(ledger, plan, winners)
        draw_front(run, say)
    counts = Counter(str(entry.config.get(KIND, plan.space["fixed"].get(KIND))) for entry in ledger.ranked())
    print_winners(winners, plan, len(materials.split.validation), counts, decided)
    if mattered:
        print(*mattered, "", sep="\n", flush=True)
    place = str(run.url() or run.path)
    say(f"done in {clock(time.monotonic() - start)}; trials, curves and winners are in {place}")
    say(f"next: {script('final_test.py')} {shlex.quote(place)}      # opens the test split, once")
    say(f"      {program('tensorboard')} --logdir {shlex.quote(place)}")


if __name__ == "__main__":
    run_script(main)
