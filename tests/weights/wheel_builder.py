"""Makes tiny wheels that carry a piece of a file as data."""

import zipfile
from pathlib import Path


def write_wheel(
    folder: Path,
    package: str,
    version: str,
    member: str,
    content: bytes,
    *,
    named: str | None = None,
) -> Path:
    """Write a wheel that pip accepts; `named` replaces the name of the data file."""
    name = package.replace("-", "_")
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    wheel = "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {
        named or member: content,
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": wheel.encode(),
    }
    record = "".join(f"{f},,\n" for f in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file, data in files.items():
            archive.writestr(file, data)
        archive.writestr(f"{info}/RECORD", record)
    return path
