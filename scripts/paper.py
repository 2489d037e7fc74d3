"""The source paper again, table by table, with the noise of several seeds, and its numbers beside ours.

    python scripts/paper.py --data data/celeba-mini --seeds 5
    python scripts/paper.py --profile paper --plan
    python scripts/paper.py --resume paper

Four grids (tables I to IV), each around what was chosen before it, the winners trained for 50 epochs (table V), and one
test of the four models (table VI). Writes table1.csv to table6.csv, conclusions.csv, figures and report.html.
"""

import math
import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.commands import Parser
from core.errors import UserError, run_script
from core.names import Precision
from core.preparation import check_places
from core.run_folder import RunFolder
from tune.cluster import start_ray
from tune.forecast import print_forecast
from tune.machine import plan_workers, workers_again
from tune.materials import Materials, Place
from tune.nodes import check_nodes
from tune.options import (
    PLACE,
    add_data_options,
    add_place_options,
    check_options,
    check_resumable,
    kept_places,
    picked_profile,
    place_on,
    run_to_resume,
    storage_of,
    take_up,
)
from tune.paper_plan import STEPS, Follow, PaperPlan, paper_plan_from_json
from tune.paper_results import report_replication
from tune.profile import Profile, parse_settings
from tune.progress import clock, say
from tune.protocol import Protocol
from tune.run import create_replication

MOVABLE = {"data", "weights"}
"""What may lie elsewhere when a replication goes on."""


def parser() -> Parser:
    """The command line; options not given are absent from the result, so that --resume can refuse them."""
    p = Parser(__doc__, absent=True)
    add_data_options(p, PaperPlan.drawn_faces)
    p.add_argument("--seeds", type=int, help=f"how often everything is done (default: {PaperPlan.seeds})")
    p.add_argument("--seed", type=int, help=f"all random numbers follow from it (default: {PaperPlan.seed})")
    p.add_argument("--epochs", type=int, help=f"of tables I to IV (default: {PaperPlan.epochs}, the paper's)")
    p.add_argument(
        "--final-epochs", type=int, help=f"of the winners of tables II to IV (default: {PaperPlan.final_epochs})"
    )
    p.add_argument(
        "--follow",
        choices=list(Follow),
        help="own: each table around our choices in those before (default); paper: around the paper's",
    )
    p.add_argument(
        "--plan",
        action="store_true",
        help="measure epochs of each model (minutes), list the runs with the time and disk they would take, and end",
    )
    add_place_options(p, "paper")
    return p


def main() -> None:
    """Parse, replicate, print."""
    given = vars(parser().parse_args())
    check_options(given)
    if "resume" in given:
        resume(given)
    else:
        begin(given)


def begin(given: dict[str, Any]) -> None:
    """A new replication, or only its forecast."""
    settings = parse_settings(given.get("set", []))
    of_a_run = sorted({"name", "storage", "trial_timeout"} & set(given))
    if given.get("plan") and of_a_run:
        raise UserError(f"--plan makes no run, so it takes no --{of_a_run[0].replace('_', '-')}")
    storage = storage_of(given)
    run = None if given.get("plan") else storage.new_run(given.get("name"), "paper")
    check_places(given)
    check_early(given, settings)
    place, gpus = found_place(given, run)
    profile, reason = picked_profile(given, gpus)
    say(reason)
    plan = planned(given, settings, profile)
    for key in plan.idle_settings():
        say(f"note: --set {key} changes nothing in any of the four models")
    materials = Materials(plan.step_plan(STEPS[0], {}), place, say)
    if run is None:
        print_forecast(plan, materials, say)
        return
    command = shlex.join(["python", *sys.argv])
    create_replication(run, plan, materials, command)
    with storage.held(run, say, new=True):
        work(run, plan, materials, place.cache)


def planned(given: Mapping[str, Any], settings: Mapping[str, Any], profile: Profile) -> PaperPlan:
    """The replication that the options ask for.

    Raises:
        UserError: options that cannot be, or not together.
    """
    names = set(PaperPlan.__dataclass_fields__) - {"profile", "settings"}
    options: dict[str, Any] = {
        key: Follow(value) if key == "follow" else value for key, value in given.items() if key in names
    }
    return PaperPlan(profile=profile, settings=dict(settings), **options)


def check_early(given: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Refuse now, before Ray is started or a cluster waited for, what no profile could make right.

    Raises:
        UserError: no plan comes of these options.
    """
    for profile in Profile:
        try:
            planned(given, settings, profile)
        except UserError as error:
            wrong = error
        else:
            return
    raise wrong


def resume(given: dict[str, Any]) -> None:
    """Go on with a replication."""
    check_resumable(given, PLACE | MOVABLE)
    storage, run = run_to_resume(given)
    with storage.held(run, say):
        recorded = run.read_search()
        if "paper" not in recorded["plan"]:
            raise UserError(f"{run.path}: no replication of the paper; go on with it: {run.again}")
        take_up(given, recorded)
        plan = paper_plan_from_json(recorded["plan"], str(run.search))
        if (run.path / "report.html").is_file():
            say(f"this replication is complete: {run.url('report.html') or run.path / 'report.html'}")
            return
        plan = replace(plan, **{key: given[key] for key in MOVABLE & set(given)})
        place, _ = found_place(given, run, recorded)
        materials = Materials(plan.step_plan(STEPS[0], {}), place, say)
        materials.check_same(recorded, str(run.search))
        places = {**recorded["plan"], **materials.places()}
        run.write_search({**recorded, "plan": places, **kept_places(given, recorded)})
        work(run, plan, materials, place.cache)


def found_place(
    given: dict[str, Any], run: RunFolder | None = None, recorded: Mapping[str, Any] | None = None
) -> tuple[Place, float]:
    """Where the work will be done, on a Ray that is started or joined; and how many GPUs each trial will have.

    Args:
        run: for which all nodes must be able to work; None for a forecast.
        recorded: ``search.json`` of a run that is resumed.
    """
    machine = start_ray(given.get("address"), say)
    if recorded is None:
        workers, precision = plan_workers(given.get("workers"), given.get("gpus_per_trial"), machine), None
    else:
        workers = workers_again(given, recorded["workers"], machine, say)
        precision = Precision(recorded["precision"])
    say(f"{machine.cores} cores, {machine.gpus:g} GPUs; {workers.count} at once")
    if run is not None:
        check_nodes(run, say)
    return place_on(machine, given, workers, precision), workers.gpus


def work(run: RunFolder, plan: PaperPlan, materials: Materials, cache: Path) -> None:
    """All four steps, the test and the report."""
    start = time.monotonic()
    with run.resumable(say):
        protocol = Protocol(plan, run, materials, run.read_search()["command"], say)
        results = protocol.go()
        conclusions = report_replication(run, protocol, results, cache)
    print("\nthe paper's conclusions on our seeds and faces (leads: 95 % interval; above 0 the paper is right):")
    for one in conclusions:
        if not one.seeds:
            print(f"  {one.claim}: not measured: {one.why}")
            continue
        value, low, high = one.difference
        plural = "s" if one.seeds > 1 else ""
        print(f"  {one.claim}: held in {one.held} of {one.seeds} seed{plural}; {one.verdict}")
        lead = f"{value:+.4f} ({low:+.4f} to {high:+.4f})"
        papers = "" if math.isnan(one.paper) else f"; paper {one.paper:+.4f}"
        print(f"      lead over {one.rival}: {lead} {one.measure}{papers}")
    say(f"\ndone in {clock(time.monotonic() - start)}; tables, figures and curves are in {run.url() or run.path}")
    say(f"report: {run.url('report.html') or run.path / 'report.html'}")


if __name__ == "__main__":
    run_script(main)
