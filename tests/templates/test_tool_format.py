"""Values of calls as formats write them."""

import pytest

from et_agent.templates.tool_format import Encoding, Value, decoded


@pytest.mark.parametrize("encoding", ["json", "python", "bare"])
@pytest.mark.parametrize("text", ["[" * 5000, "{1, 2}", "b'x'", "1e999", "1+2j", "...", ""])
def test_what_is_no_value_of_a_call_is_told(encoding: Encoding, text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decoded(text, Value("", "", encoding, '"'))
