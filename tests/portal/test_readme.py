"""The README promises; here is what of it can be held against the code."""

import re

from portal.launch import PRODUCT

README = (PRODUCT / "README.md").read_text()


def test_every_environment_variable_that_is_read_is_in_the_table() -> None:
    rows = [line for line in README.splitlines() if line.startswith("| `")]
    table = {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)}
    sources = [path for folder in ("portal", "checklists") for path in (PRODUCT / folder).rglob("*.py")]
    code = "\n".join(path.read_text() for path in sources)
    read = {*re.findall(r'\benv\.\w+\(\s*"([A-Z_]+)"', code), *re.findall(r'\benviron(?:\.get\(|\[)"([A-Z_]+)"', code)}
    assert {"DATABASE_URL", "EMAIL_URL", "PREFLIGHT_DEMO_BASE_PORT"} <= read
    assert sorted(read - table) == []


def test_its_pictures_and_its_folders_are_there() -> None:
    for picture in re.findall(r"!\[[^]]+\]\(([^)]+)\)", README):
        assert (PRODUCT / picture).read_bytes().startswith(b"\x89PNG"), picture
    rooms = re.findall(r"^  (\w+)/ ", README, re.MULTILINE)
    assert len(rooms) >= 9
    assert [room for room in rooms if not (PRODUCT / "checklists" / room).is_dir()] == []
