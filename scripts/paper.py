"""The source paper again, table by table, with the noise of several seeds, and its numbers beside ours.

    python scripts/paper.py --data data/celeba-mini --seeds 5
    python scripts/paper.py --profile paper --plan
    python scripts/paper.py --resume paper

Four grids (tables I to IV), each around what was chosen before it, the winners trained for 50 epochs (table V), and one
test of the four models (table VI). Writes table1.csv to table6.csv, conclusions.csv, figures and report.html.
"""

import argparse
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from core.cache_folder import default_cache
from core.config import KEYS
from core.errors import UserError, run_script
from core.names import Precision
from core.preparation import DRAWN
from core.run_folder import RunFolder, free_name, new_run
from tune.cluster import plan_workers, start_ray
from tune.forecast import print_forecast
from tune.materials import Materials, Place
from tune.paper_plan import STEPS, Follow, PaperPlan, paper_plan_from_json
from tune.paper_results import report_replication
from tune.plan import Profile, parse_settings
from tune.progress import clock
from tune.protocol import Protocol
from tune.run import create_replication

WHERE = {"resume", "storage", "cache", "workers", "gpus_per_trial", "address"}
"""Options that say where the work is done."""


def parser() -> argparse.ArgumentParser:
    """The command line; options not given are absent from the result, so that --resume can refuse them."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, argument_default=argparse.SUPPRESS
    )
    p.add_argument("--data", metavar="DIR", help=f"a CelebA folder (default: {DRAWN}, faces made by Tandem)")
    p.add_argument("--drawn-faces", type=int, metavar="N", help=f"how many to draw (default: {PaperPlan.drawn_faces})")
    p.add_argument("--weights", metavar="PATH", help="VGG-16 weights: a file, imagenet, random or auto (default)")
    p.add_argument("--profile", choices=["auto", *Profile], help="auto: paper with a GPU, else fast (default)")
    p.add_argument("--set", nargs="+", action="extend", metavar="KEY=VALUE", help=f"fix settings: {', '.join(KEYS)}")
    p.add_argument("--seeds", type=int, help=f"how often everything is done (default: {PaperPlan.seeds})")
    p.add_argument("--seed", type=int, help=f"all random numbers follow from it (default: {PaperPlan.seed})")
    p.add_argument("--epochs", type=int, help=f"of tables I to IV (default: {PaperPlan.epochs}, the paper's)")
    p.add_argument("--final-epochs", type=int, help=f"of tables V and VI (default: {PaperPlan.final_epochs})")
    p.add_argument(
        "--follow", choices=list(Follow), help="go on with own choices (default), or with those that the paper made"
    )
    p.add_argument("--plan", action="store_true", help="list the runs and the time they would take, and end")
    p.add_argument("--name", help="of the run (default: paper)")
    p.add_argument("--resume", metavar="NAME", help="go on with a run after a crash")
    p.add_argument("--storage", metavar="DIR", help="folder of runs, shared by all nodes (default: runs)")
    p.add_argument("--cache", type=Path, metavar="DIR", help="decoded faces and activations (safe to delete)")
    p.add_argument("--workers", type=int, help="trainings at once (default: one a GPU, else one for 4 cores)")
    p.add_argument("--gpus-per-trial", type=float, help="(default: 1 if there are GPUs)")
    p.add_argument("--address", help="of a running Ray cluster, or auto (default: a private Ray on this machine)")
    return p


def main() -> None:
    """Parse, replicate, print."""
    given = vars(parser().parse_args())
    if "resume" in given:
        resume(given)
    else:
        begin(given)


def begin(given: dict[str, Any]) -> None:
    """A new replication, or only its forecast."""
    settings = parse_settings(given.get("set", []))
    if "drawn_faces" in given and given.get("data", DRAWN) != DRAWN:
        raise UserError("--drawn-faces: there is nothing to draw when --data gives the faces")
    storage = Path(given.get("storage", "runs"))
    run = None if given.get("plan") else new_run(storage, given.get("name") or free_name(storage, "paper"))
    place, gpus = found_place(given, None)
    asked = str(given.get("profile", "auto"))
    profile = Profile(asked) if asked != "auto" else (Profile.PAPER if gpus else Profile.FAST)
    say(f"profile {profile}" + (f", because there is {'a' if gpus else 'no'} GPU" if asked == "auto" else ""))
    names = set(PaperPlan.__dataclass_fields__) - {"profile", "settings"}
    options = {key: Follow(value) if key == "follow" else value for key, value in given.items() if key in names}
    plan = PaperPlan(profile=profile, settings=settings, **options)
    materials = Materials(plan.step_plan(STEPS[0], {}), place, say)
    if run is None:
        print_forecast(plan, materials, say)
        return
    command = shlex.join(["python", *sys.argv])
    create_replication(run, plan, materials, command)
    with run.lock():
        work(run, plan, materials, place.cache)


def resume(given: dict[str, Any]) -> None:
    """Go on with a replication."""
    extra = sorted(set(given) - WHERE)
    if extra:
        raise UserError(f"--resume takes its plan from the run; --{extra[0].replace('_', '-')} cannot change it")
    run = RunFolder(Path(given.get("storage", "runs")) / given["resume"])
    recorded = run.read_search()
    plan = paper_plan_from_json(recorded["plan"], str(run.search))
    with run.lock():
        if (run.path / "report.html").is_file():
            say(f"this replication is complete: {run.path / 'report.html'}")
            return
        options = {"workers": recorded["workers"]["count"], "gpus_per_trial": recorded["workers"]["gpus"], **given}
        place, _ = found_place(options, Precision(recorded["precision"]))
        materials = Materials(plan.step_plan(STEPS[0], {}), place, say)
        materials.check_same(recorded, str(run.search))
        work(run, plan, materials, place.cache)


def found_place(given: dict[str, Any], precision: Precision | None) -> tuple[Place, float]:
    """Where the work will be done, on a Ray that is started or joined; and how many GPUs there are."""
    say("joining Ray" if "address" in given else "starting Ray")
    machine = start_ray(given.get("address"))
    workers = plan_workers(given.get("workers"), given.get("gpus_per_trial"), machine)
    say(f"{machine.cores} cores, {machine.gpus:g} GPUs; {workers.count} at once")
    return Place(given.get("cache", default_cache()), workers, precision), machine.gpus


def work(run: RunFolder, plan: PaperPlan, materials: Materials, cache: Path) -> None:
    """All four steps, the test and the report."""
    start = time.monotonic()
    try:
        protocol = Protocol(plan, run.path, materials, run.read_search()["command"], say)
        results = protocol.go()
        conclusions = report_replication(run, protocol, results, cache, say)
    except KeyboardInterrupt:
        say(f"interrupted; nothing that ended is lost. Go on with: --resume {run.path.name}")
        raise
    print("\nthe paper's conclusions on our seeds and faces:")
    for one in conclusions:
        value, low, high = one.difference
        print(f"  {one.claim}: held in {one.held} of {one.seeds} seeds; {one.verdict}")
        print(
            f"      ahead of {one.rival} by {value:.4f} ({low:.4f} to {high:.4f}) {one.measure}; paper: {one.paper:.4f}"
        )
    say(f"\ndone in {clock(time.monotonic() - start)}; tables, figures and curves are in {run.path}")
    say(f"report: {run.path / 'report.html'}")


def say(text: str) -> None:
    """A line for the reader, at once."""
    print(text, flush=True)


if __name__ == "__main__":
    run_script(main)
