"""Pages that stand alone: one file with its style, tables and figures inside it."""

import base64
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2


def render(template: str, **values: Any) -> str:
    """One of this package's ``.html`` templates, filled; a value that a template asks for must be there."""
    loader = jinja2.FunctionLoader(lambda name: (files("core") / name).read_text(encoding="utf-8"))
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    return environment.get_template(template).render(**values)


def embedded(figures: Mapping[Path, str]) -> list[dict[str, str]]:
    """PNG files and their captions as the templates' macro ``drawn`` takes them."""
    return [{"data": base64.b64encode(image.read_bytes()).decode(), "caption": text} for image, text in figures.items()]
