"""Whatever storage fails with is an OSError, in every method that reaches it, so that it can be waited for."""

import errno

import pytest

from core.mirror import Mirror
from core.remote import Remote

FAILURES = [
    ("there", "files", (), "get_file_info"),
    ("there", "read", ("theirs",), "open_input_stream"),
    ("there", "write", ("theirs", b"x"), "open_output_stream"),
    ("there", "age", ("theirs",), "open_output_stream"),
    ("there", "age", ("theirs",), "get_file_info"),
    ("there", "age", ("theirs",), "delete_file"),
    ("there", "remove", ("theirs",), "delete_file"),
    ("mirror", "push", (), "open_output_stream"),
    ("mirror", "push", (), "delete_file"),
    ("mirror", "pull", (), "get_file_info"),
    ("mirror", "pull", (), "open_input_stream"),
    ("mirror", "names", (), "get_file_info"),
    ("mirror", "tidy", (), "get_file_info"),
    ("mirror", "tidy", (), "delete_file"),
    ("mirror", "unlike", (), "get_file_info"),
    ("mirror", "unlike", (), "open_input_stream"),
    ("mirror", "read", ("theirs",), "open_input_stream"),
    ("mirror", "write", ("theirs", b"x"), "open_output_stream"),
    ("mirror", "age", ("theirs",), "get_file_info"),
    ("mirror", "remove", ("theirs",), "delete_file"),
]
"""Of which object, which method with which arguments, and what of the storage fails meanwhile."""


class Failing:
    """A file system of which one method fails."""

    def __init__(self, system, method, error):
        self.system = system
        self.method = method
        self.error = error

    def __getattr__(self, name):
        return self.fail if name == self.method else getattr(self.system, name)

    def fail(self, *_, **__):
        raise self.error


@pytest.fixture
def mirror(tmp_path):
    """A mirror for which there is work of every kind: to copy there and back, to compare, and to remove."""
    mirror = Mirror(tmp_path / "here", f"file://{tmp_path}/there")
    mirror.local.mkdir()
    for name in ("gone", "both"):
        (mirror.local / name).write_text("x")
    mirror.push()
    (mirror.local / "gone").unlink()
    (mirror.local / "ours").write_text("x")
    mirror.write("theirs", b"x")
    mirror.write(".cut-off.partial", b"x")
    return mirror


@pytest.mark.parametrize(("of", "method", "arguments", "failing"), FAILURES)
def test_whatever_storage_fails_with_is_an_oserror(mirror, of, method, arguments, failing):
    mirror.there.system = storage = Failing(mirror.there.system, failing, LookupError("no such session"))
    action = getattr(mirror if of == "mirror" else mirror.there, method)
    with pytest.raises(OSError, match="LookupError: no such session"):
        action(*arguments)
    storage.error = PermissionError(errno.EACCES, "not yours")
    with pytest.raises(PermissionError, match="not yours"):  # one that is an OSError already stays what it is
        action(*arguments)


@pytest.mark.parametrize(("of", "kind"), [("there", Remote), ("mirror", Mirror)])
def test_the_failures_above_are_of_every_method_that_reaches_storage(of, kind):
    public = {name for name, found in vars(kind).items() if callable(found) and not name.startswith("_")}
    only_within = {"name_of", "output"}  # asks nothing; is called by methods that are here
    assert public - only_within == {method for tried, method, *_ in FAILURES if tried == of}
