import json

import pytest

from et_agent.decoding import DecoderSettings, EntropyTree, Greedy, MultiChain
from et_agent.decoding.naming import described, from_description, has_name
from et_agent.errors import SettingsError


@pytest.mark.parametrize(
    "decoder", [EntropyTree(leaves=3, tau=0.5), MultiChain(leaves=2), Greedy(max_tokens=9)]
)
def test_there_and_back(decoder: DecoderSettings) -> None:
    given = json.loads(json.dumps(described(decoder)))
    assert given["name"] == type(decoder).__name__
    assert from_description(given) == decoder
    assert has_name(decoder)


def test_a_setting_that_runs_from_before_do_not_know_is_told_only_where_it_is_used() -> None:
    assert not {"wave", "give_up"} & set(described(EntropyTree()))
    waves = EntropyTree(wave=2, settle=0.6)
    assert described(waves)["wave"] == 2
    assert from_description(described(waves)) == waves


def test_what_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="'Beam': use one of EntropyTree, MultiChain, Greedy"):
        from_description({"name": "Beam"})
    with pytest.raises(ValueError, match="None: use one of"):
        from_description({"leaves": 3})
    with pytest.raises(SettingsError, match="beams"):
        from_description({"name": "Greedy", "beams": 2})


def test_a_decoder_of_the_users_own_has_no_name() -> None:
    own = type("Greedy", (Greedy,), {})  # the name alone does not make it one of ours

    assert not has_name(own())
