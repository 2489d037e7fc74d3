"""URLs of storage: S3, GCS, or whatever fsspec knows."""

import fsspec
import pyarrow
from pyarrow import fs

from core.errors import UserError


def is_url(storage: str) -> bool:
    """Whether ``storage`` names another place than this machine's file system."""
    return "://" in storage


def open_url(url: str) -> tuple[fs.FileSystem, str]:
    """The file system of a URL and the path in it.

    Raises:
        UserError: nothing here knows such URLs, or they are read only.
    """
    if url.startswith(("http://", "https://")):
        raise UserError(f"{url}: a web address cannot be written to; a bucket of S3 is s3://BUCKET/FOLDER")
    try:
        found: tuple[fs.FileSystem, str] = fs.FileSystem.from_uri(url)
    except pyarrow.ArrowInvalid:  # not one of Arrow's own
        try:
            other, path = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise UserError(f"{url}: no file system for such a URL ({error})") from None
        return fs.PyFileSystem(fs.FSSpecHandler(other)), str(path)
    except OSError as error:
        raise UserError(f"{url}: cannot be opened ({error})") from None
    return found


def below(url: str, *names: str) -> str:
    """The URL of something in the folder at ``url``; options behind a question mark stay."""
    place, mark, options = url.partition("?")
    return "/".join([place.rstrip("/"), *names]) + mark + options


def above(url: str) -> tuple[str, str]:
    """The URL of the folder that something at ``url`` lies in, and its name there."""
    place, mark, options = url.partition("?")
    parent, _, name = place.rstrip("/").rpartition("/")
    return parent + mark + options, name
