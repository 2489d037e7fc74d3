"""Put a winner to photos: gender with its probability, and five landmarks in pixels of the photo.

    python scripts/predict.py runs/multitask me.jpg you.png --draw drawn
    python scripts/predict.py runs/joint/winners/attention/seed-1 photos --csv photos.csv
    python scripts/predict.py runs/multitask --export multitask.onnx

WINNER is a run with one winner, a winner's folder (then its seed that did best on the validation faces is taken) or a
seed's folder. Photos are JPEG or PNG of up to 50 megapixels, each of one face, upright, whole and in the middle, as
CelebA's aligned images show them. Nothing looks for the face: of a landscape, or of several people, the answer is worth
nothing. A photo that its camera noted to lie on its side is turned first, and its pixels are counted as it then stands,
from the top left corner. Left and right are the viewer's, as in CelebA: the left eye is the person's right one.
"""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from core.atomic import new_file, write_text
from core.cache_folder import COPIES_HELP, cache_folder, default_cache
from core.commands import Parser
from core.device import device_at_hand, gpu_errors, make_repeatable
from core.errors import UserError, printable, run_script
from core.models import FaceModel
from core.names import LANDMARKS, Precision
from core.onnx_file import export_onnx
from core.photo import Photo, drawn_photo, look_at, open_photo, photo_table
from core.preparation import DRAWN
from core.run_folder import RunFolder
from core.search_record import is_replication
from core.storage import run_at
from core.synthetic import draw_faces
from core.urls import is_url
from core.winner import LABEL, Winner, load_model, place_of_winner, read_backbone, read_winner
from tune.plan import plan_from_json
from tune.progress import Counter, say

ENDINGS = (".jpg", ".jpeg", ".png")  # what is taken from a folder


def main() -> None:
    """Parse, predict, print, write."""
    parser = Parser(__doc__)
    parser.add_argument("winner", metavar="WINNER", help="a run, a winner in it or one of its seeds: a folder or URL")
    parser.add_argument("images", metavar="IMAGE", nargs="*", type=Path, help="a photo, or a folder of them")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a table of all photos")
    parser.add_argument("--draw", type=Path, metavar="DIR", help="write each photo with its landmarks drawn")
    parser.add_argument("--export", type=Path, metavar="FILE.onnx", help="write the model as ONNX, in float32")
    parser.add_argument("--cache", type=cache_folder, default=default_cache(), metavar="DIR", help=COPIES_HELP)
    arguments = parser.parse_args()
    if not arguments.images and arguments.export is None:
        raise UserError("nothing to do: name photos, or --export FILE")
    for option in ("csv", "draw"):
        if getattr(arguments, option) is not None and not arguments.images:
            raise UserError(f"--{option}: there are no photos that it could be of")
    listed = photo_files(arguments.images)
    drawings = drawing_files(listed, arguments.draw)
    check_outputs(listed, {"--csv": arguments.csv, "--export": arguments.export}, drawings)
    model, precision, notes = loaded(arguments.winner, arguments.cache)
    readable, errors = tried(listed)
    if arguments.export is not None:
        export(model, arguments.export, notes)
        if precision is not Precision.FP32:
            say("note: the file computes in float32, what is predicted here in bfloat16, as the winner was trained")
    photos = predicted(model, precision, readable)
    if photos and arguments.csv is not None:
        write_text(arguments.csv, photo_table(photos).to_csv(index=False))
    for photo in photos:
        print(told(photo, drawings.get(photo.path)), flush=True)
    draw(photos, drawings)
    for error in errors[:-1]:
        print(f"error: {error}", file=sys.stderr)
    if errors:
        raise errors[-1]


def photo_files(given: Sequence[Path]) -> list[Path]:
    """The photos that were named, and those in the folders that were.

    Raises:
        UserError: a folder has none.
    """
    found = []
    for path in given:
        if not path.is_dir():
            found.append(path)
            continue
        entries = sorted(p for p in path.iterdir() if not p.name.startswith("."))
        inside = [p for p in entries if p.suffix.lower() in ENDINGS]
        if not inside:
            raise UserError(f"{path}: must hold photos ({', '.join(ENDINGS)}), there are none")
        if len(inside) < len(entries):
            count = f"{len(inside)} of its {len(entries)} entries"
            say(f"note: {printable(str(path))}: {count} are taken, those that end in {', '.join(ENDINGS)}")
        found += inside
    return found


def drawing_files(photos: Sequence[Path], folder: Path | None) -> dict[Path, Path]:
    """Where the drawing of each photo goes: its name with ``-drawn``, and a number where several have the same name."""
    found: dict[Path, Path] = {}
    taken: dict[str, int] = {}
    for photo in dict.fromkeys(photos) if folder is not None else ():
        assert folder is not None
        taken[photo.stem] = taken.get(photo.stem, 0) + 1
        number = f"-{taken[photo.stem]}" if taken[photo.stem] > 1 else ""
        found[photo] = folder / f"{photo.stem}-drawn{number}.png"
    return found


def check_outputs(photos: Sequence[Path], files: Mapping[str, Path | None], drawings: Mapping[Path, Path]) -> None:
    """See now that what is found out can be written, and that it replaces no photo.

    Raises:
        UserError: it cannot, or would.
    """
    outputs = [(option, file) for option, file in files.items() if file is not None]
    outputs += [("--draw", path) for path in drawings.values()]
    taken = {os.path.realpath(path): "a photo to look at" for path in photos}
    for option, path in outputs:
        whole = os.path.realpath(path)
        if whole in taken:
            raise UserError(f"{option}: {path} is {taken[whole]} too, and would be replaced")
        taken[whole] = f"the file of {option}"
        if option == "--export" and path.suffix != ".onnx":
            raise UserError(f"--export {path}: must be a name that ends in .onnx")
    for option, path in outputs:
        if option != "--draw" and (path.is_dir() or not os.access(path.parent, os.W_OK)):
            raise UserError(f"{option} {path}: must be a file in a folder that exists and can be written to")
    if drawings:
        folder = next(iter(drawings.values())).parent
        home = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        if not home.is_dir() or not os.access(home, os.W_OK):
            raise UserError(f"--draw {folder}: must be a folder that can be written to")


def tried(photos: Sequence[Path]) -> tuple[list[Path], list[UserError]]:
    """Those that can be read, and what is wrong with each of the others."""
    readable, errors, progress = [], [], Counter("reading photos")
    for done, path in enumerate(photos, 1):
        try:
            open_photo(path)
        except UserError as error:
            errors.append(error)
        else:
            readable.append(path)
        progress(done, len(photos))
    return readable, errors


def loaded(place: str, cache: Path) -> tuple[FaceModel, Precision, dict[str, str]]:
    """The winner at ``place``, the precision that it was trained in, and which one it is, which is said too."""
    run_place, label, seed = parts_of(place)
    storage, run = run_at(run_place, cache)
    # A run under a URL is copied here, which only one process may do at a time; a folder is only read.
    with storage.held(run, say) if run.mirror is not None else nullcontext():
        search = run.read_search()
        if is_replication(search):
            raise UserError(f"{run.path}: a replication of the paper; its winners are in {run.path}/table1 to table4")
        winner = read_winner(run, label)
        number, folder = chosen_seed(run, winner, seed, search)
        model = load_model(read_backbone(run), winner, folder, torch.device("cpu"))
    say(f"{winner.label}, seed {number} of run {printable(run.path.name)}; each photo must show one face as in CelebA")
    drawn = search["plan"].get("data", DRAWN) == DRAWN
    if drawn:
        say("note: this winner was trained on drawn faces, and of photographs its answers are worth nothing")
    notes = {"run": printable(run.path.name), "winner": winner.label, "seed": str(number)}
    notes["trained_on"] = "drawn faces; of photographs its answers are worth nothing" if drawn else "photographs"
    return model, winner.config.training.precision, notes


def export(model: FaceModel, path: Path, notes: dict[str, str]) -> None:
    """Write the model as an ONNX file that agrees with it on eight drawn faces (landmarks: in sides of the crop)."""
    apart = export_onnx(model, path, notes, draw_faces(8, 0)[0])
    differences = ", ".join(f"{name} by {value:.1e}" for name, value in apart.items())
    say(f"{path}: written; on eight faces it differs from torch in float32 in {differences} at most")


def predicted(model: FaceModel, precision: Precision, photos: Sequence[Path]) -> list[Photo]:
    """What a model says of photos.

    Raises:
        UserError: the GPU fails, or has no room.
    """
    if not photos:
        return []
    device = device_at_hand()
    make_repeatable(device)
    progress = Counter("predicting")
    with gpu_errors(device, "photos were predicted", "CUDA_VISIBLE_DEVICES= (empty) uses the CPU"):
        return look_at(model.to(device), photos, precision, device, lambda done: progress(done, len(photos)))


def parts_of(place: str) -> tuple[str, str | None, int | None]:
    """The run that a winner's folder lies in, and its label and seed as far as they are named."""
    url = is_url(place)
    whole, mark, options = place.partition("?") if url else (str(Path(place).resolve()), "", "")
    run = "[^:]+://[^/]+/.+" if url else ".+"
    match = re.fullmatch(f"({run})/winners/({LABEL})(?:/seed-([0-9]{{1,9}}))?", whole.rstrip("/"))
    if match is None or (not url and (Path(whole) / "search.json").is_file()):
        return place, None, None
    return match[1] + mark + options, match[2], None if match[3] is None else int(match[3])


def chosen_seed(run: RunFolder, winner: Winner, seed: int | None, search: Mapping[str, Any]) -> tuple[int, Path]:
    """Number and folder of the seed that was named, or that did best on the validation faces.

    Raises:
        UserError: the winner has no such seed.
    """
    if seed is not None and seed not in winner.replicates:
        there = ", ".join(f"seed-{number}" for number in winner.replicates)
        raise UserError(f"{place_of_winner(run, winner.label)}: has no seed-{seed}; it has {there}")
    objective = plan_from_json(search["plan"], str(run.search)).aim()
    costs = [min(map(objective.cost, curve.to_dict("records"))) for curve in winner.curves]
    best = costs.index(min(costs)) if seed is None else winner.replicates.index(seed)
    return winner.replicates[best], winner.folders[best]


def draw(photos: Sequence[Photo], drawings: Mapping[Path, Path]) -> None:
    """Write the drawings that were asked for."""
    progress = Counter("drawing")
    for done, photo in enumerate(photos if drawings else (), 1):
        path = drawings[photo.path]
        path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(path) as partial:
            drawn_photo(photo, open_photo(photo.path)).save(partial, "PNG")
        progress(done, len(photos))


def told(photo: Photo, drawing: Path | None) -> str:
    """A line for the reader; the last word is where the drawing goes, as photos of one name get a number there."""
    points = []
    if photo.landmarks is not None:
        names = (name.replace("_", " ") for name in LANDMARKS)
        points = [f"{name} ({x:.1f}, {y:.1f})" for name, (x, y) in zip(names, photo.landmarks, strict=True)]
    where = "" if drawing is None else f"drawing: {printable(str(drawing))}"
    return f"{printable(str(photo.path))}: {'; '.join(filter(None, [photo.caption(), ', '.join(points), where]))}"


if __name__ == "__main__":
    run_script(main)
