"""Every exception that et-agent raises on purpose.

    EtAgentError
    ├── InputError              what the caller passed in cannot be used (also a ValueError)
    │   ├── CalibrationError      labels or features that cannot be fitted, or a damaged calibrator
    │   │   ├── CalibratorMismatchError  a calibrator for another model, decoder or prompt
    │   │   └── RiskControlError         no threshold keeps the error below the target
    │   ├── AlreadyDecidedError   a reply about tool calls that another reply has decided about
    │   ├── DataError             a data set or a row of it is missing or cannot be read
    │   ├── PolicyError           a gate's policy is invalid, or has no such topic
    │   ├── QuestionError         the question itself: empty, NUL bytes, invalid UTF-8, too long
    │   │   └── PromptTooLongError       the prompt leaves no room in the context
    │   ├── StoreError            a file of evaluation runs, or a run in it, cannot be used
    │   └── SettingsError         a setting is out of range or contradicts another one
    ├── ModelError              the model cannot do what is asked of it
    │   ├── ModelFileError        missing, truncated, not a GGUF file, wrong checksum
    │   ├── ModelDownloadError    no source could deliver the file: no network, no space, all failed
    │   ├── UnsupportedModelError the model cannot serve: embedding-only, recurrent, no chat template
    │   ├── OutOfMemoryError      there is not enough memory for the weights
    │   ├── ContextError          the context window or sequence count is too small for the request
    │   └── ModelClosedError      the model was closed before the call
    ├── DecodeError             llama.cpp failed while decoding
    ├── BusyError               as many questions wait for a model as may: ask again later
    ├── ServerError             a server that serves a model cannot be reached, failed or talks nonsense
    ├── ClusterError            a cluster cannot be reached, or no node of it can run the model
    ├── KernelError             the kernels cannot be built, or are wrong; llama.cpp's own serve
    ├── TimeLimitError          an answer took longer than was allowed (also a TimeoutError)
    └── EscalationError         the target of an escalation failed, hung or gave no answer

Each message says what is wrong and how to fix it. For an EtAgentError, the command line prints the
message and exits with code 2. Any other exception is a bug.
"""

__all__ = [
    "AlreadyDecidedError",
    "BusyError",
    "CalibrationError",
    "CalibratorMismatchError",
    "ClusterError",
    "ContextError",
    "DataError",
    "DecodeError",
    "EscalationError",
    "EtAgentError",
    "InputError",
    "KernelError",
    "ModelClosedError",
    "ModelDownloadError",
    "ModelError",
    "ModelFileError",
    "OutOfMemoryError",
    "PolicyError",
    "PromptTooLongError",
    "QuestionError",
    "RiskControlError",
    "ServerError",
    "SettingsError",
    "StoreError",
    "TimeLimitError",
    "UnsupportedModelError",
]


class EtAgentError(Exception):
    """Base class of all errors that et-agent raises on purpose."""

    def __str__(self) -> str:
        """The message, which can be shown and stored whatever names of files or texts are in it."""
        return super().__str__().encode("utf-8", "backslashreplace").decode("utf-8")


class InputError(EtAgentError, ValueError):
    """Raised when something that the caller passed in cannot be used."""


class QuestionError(InputError):
    """Raised when a question is empty, not text, or too long for the context."""


class PromptTooLongError(QuestionError):
    """Raised when a prompt leaves no room in the context, or in what the model was trained for."""


class CalibrationError(InputError):
    """Raised when labels or features cannot be fitted, or a calibrator cannot be read."""


class CalibratorMismatchError(CalibrationError):
    """Raised when a calibrator was fitted for another model, decoder, prompt or answer kind."""


class RiskControlError(CalibrationError):
    """Raised when no threshold keeps the error below the target."""


class AlreadyDecidedError(InputError):
    """Raised when a reply is about tool calls that another reply has decided about."""


class DataError(InputError):
    """Raised when a data set, or a row of one, is missing or cannot be read."""


class PolicyError(InputError):
    """Raised when a gate's policy is invalid, or has no such topic."""


class StoreError(InputError):
    """Raised when a file of evaluation runs, or a run in it, cannot be used."""


class SettingsError(InputError):
    """Raised when a setting is out of range or contradicts another one."""


class ModelError(EtAgentError):
    """Raised when the model cannot do what is asked of it."""


class ModelFileError(ModelError):
    """Raised when a model file is missing, truncated, not GGUF, or has the wrong checksum."""


class ModelDownloadError(ModelError):
    """Raised when no source could deliver a model file."""


class UnsupportedModelError(ModelError):
    """Raised when a model cannot serve: embedding-only, recurrent, no chat template."""


class OutOfMemoryError(ModelError):
    """Raised when there is not enough memory for a model's weights, of the machine or of a GPU."""


class ContextError(ModelError):
    """Raised when the context window or the number of sequences is too small for the request."""


class ModelClosedError(ModelError):
    """Raised when a model is used after it was closed."""


class DecodeError(EtAgentError):
    """Raised when llama.cpp fails while decoding."""


class BusyError(EtAgentError):
    """Raised when as many questions wait for a model, or are decoded, as may; ask again later."""


class ServerError(EtAgentError):
    """Raised when a server that serves a model cannot be reached, fails, or gives no sound reply."""


class ClusterError(EtAgentError):
    """Raised when a cluster cannot be reached, or no node of it is left that can run the model."""


class KernelError(EtAgentError):
    """Raised when the kernels cannot be built for this machine, or their check found them wrong."""


class TimeLimitError(EtAgentError, TimeoutError):
    """Raised when an answer takes longer than the caller allows; its decoding was stopped."""


class EscalationError(EtAgentError):
    """Raised when the target of an escalation failed, took too long, or gave no answer."""
