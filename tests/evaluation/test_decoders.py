import pytest

from et_agent.decoding import EntropyTree
from et_agent.decoding.base import DecoderSettings
from et_agent.errors import SettingsError
from et_agent.evaluation.decoders import parse_decoder


@pytest.mark.parametrize(
    ("spec", "decoder"),
    [
        ("entropy-tree", EntropyTree(schedule="overlapped", leaves=4)),
        (
            "entropy-tree:root_share=0.5",
            EntropyTree(schedule="overlapped", leaves=4, root_share=0.5),
        ),
        ("entropy-tree:roots=3", EntropyTree(schedule="rounds", leaves=4, roots=3)),
        ("entropy-tree:batch=2,stop_above=1", EntropyTree(leaves=4, batch=2, stop_above=1)),
        ("entropy-tree:schedule=rounds", EntropyTree(schedule="rounds", leaves=4)),
        ("entropy-tree:tau=none", EntropyTree(schedule="rounds", leaves=4, tau=None)),
    ],
)
def test_the_schedule_follows_from_the_settings(spec: str, decoder: DecoderSettings) -> None:
    assert parse_decoder(spec, leaves=4, max_tokens=None) == decoder


def test_settings_of_different_schedules_are_refused() -> None:
    with pytest.raises(SettingsError, match="gap does nothing with schedule='rounds'"):
        parse_decoder("entropy-tree:gap=3,batch=2,stop_above=1")
