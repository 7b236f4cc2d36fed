"""The bundled library is what its README says it is."""

import hashlib
import re
from importlib.resources import files

VENDOR = files("et_agent.pages") / "vendor"
ROWS = re.findall(
    r"^\| (d3-\w+) \| ([\d.]+) \| `(\w+)` \|$", (VENDOR / "README.md").read_text("utf-8"), re.M
)


def test_every_build_is_the_one_that_is_named() -> None:
    builds = {one.name for one in VENDOR.iterdir() if one.name.endswith(".js")}
    assert builds == {f"{name}.min.js" for name, _, _ in ROWS}
    licence = (VENDOR / "LICENSE-d3").read_text("utf-8")
    for name, version, digest in ROWS:
        build = (VENDOR / f"{name}.min.js").read_bytes()
        assert hashlib.sha256(build).hexdigest() == digest
        assert f"https://d3js.org/{name}/ v{version} ".encode() in build[:100]
        assert f"{name}: Copyright" in licence
        assert b"</script" not in build
