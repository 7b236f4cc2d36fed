"""What is fitted for all models and shipped with the package, as JSON files."""

import functools
from importlib import resources
from pathlib import Path
from typing import ClassVar, Self

from pydantic import ValidationError

from et_agent.errors import CalibrationError
from et_agent.storage import write_atomically
from et_agent.validation import Frozen, explained, parsed_json

__all__ = ["ShippedFile"]


class ShippedFile(Frozen):
    """A model of which the package contains a fit, `calibration/shipped/general/<file_name>`.

    Subclasses have a field `schema_version`, whose default is the version that is read.
    """

    file_name: ClassVar[str]
    """Its name, with the suffix `.json`."""

    def save(self, path: Path) -> Path:
        """Write it as JSON, atomically."""
        write_atomically(path, self.model_dump_json(indent=1) + "\n", error=CalibrationError)
        return path

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            CalibrationError: The file cannot be read or is not one of this version.
        """
        name = cls.file_name.removesuffix(".json")
        version = cls.model_fields["schema_version"].default
        try:
            values = parsed_json(path.read_bytes())
            if not isinstance(values, dict) or values.get("schema_version") != version:
                raise CalibrationError(f"{path} is not a {name} of this version: fit it again")
            return cls.model_validate(values)
        except ValidationError as error:
            raise CalibrationError(f"{path} is damaged: {explained(name, error)}") from error
        except (OSError, ValueError) as error:
            raise CalibrationError(f"the {name} {path} cannot be read: {error}") from error

    @classmethod
    @functools.cache
    def shipped(cls) -> Self:
        """What the package contains.

        Raises:
            CalibrationError: The file is missing or damaged.
        """
        folder = Path(str(resources.files("et_agent.calibration") / "shipped"))
        return cls.load(folder / "general" / cls.file_name)
