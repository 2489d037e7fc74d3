"""The spaces by name."""

from pathlib import Path

from core.errors import UserError
from search_spaces.attention import ATTENTION
from search_spaces.gender import GENDER
from search_spaces.joint import JOINT
from search_spaces.landmarks import LANDMARKS
from search_spaces.multitask import MULTITASK
from search_spaces.paper import PAPER_ATTENTION, PAPER_GENDER, PAPER_LANDMARKS, PAPER_MULTITASK
from search_spaces.space import Space, space_from_text

PAPER_SPACES = (PAPER_GENDER, PAPER_LANDMARKS, PAPER_MULTITASK, PAPER_ATTENTION)
SPACES = {space.name: space for space in (GENDER, LANDMARKS, MULTITASK, ATTENTION, JOINT, *PAPER_SPACES)}


def find_space(name: str) -> Space:
    """A space by name, or from a JSON file whose path ends in ``.json``.

    Raises:
        UserError: neither.
    """
    if name in SPACES:
        return SPACES[name]
    path = Path(name)
    if path.suffix == ".json" and path.is_file():
        try:
            return space_from_text(path.read_text(encoding="utf-8"), name)
        except OSError as error:
            raise UserError(f"{name}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError as error:
            raise UserError(f"{name}: must be UTF-8 text ({error})") from None
    raise UserError(f"unknown space {name!r}; must be one of {', '.join(SPACES)} or a .json file that describes one")
