"""What a gate has decided and escalated so far, and whether its budget allows one more."""

from dataclasses import dataclass, field

from et_agent.gate.policy import GatePolicy

__all__ = ["Count", "Counts"]


@dataclass(slots=True)
class Count:
    """Decisions and escalations so far."""

    decisions: int = 0
    escalations: int = 0

    def allows(self, policy: GatePolicy) -> bool:
        """Whether one more question may be passed on."""
        if policy.escalations is not None and self.escalations >= policy.escalations:
            return False
        if policy.escalation_share is None:
            return True
        # This decision counts too; the first may always be passed on, or a share would mean waiting.
        most = policy.escalation_share * (self.decisions + 1)
        return policy.escalation_share > 0 and self.escalations + 1 <= max(1.0, most)


@dataclass(slots=True)
class Counts:
    """The counts of a gate: of its topics that have a budget of their own, and of all others."""

    _found: dict[str | None, Count] = field(default_factory=dict)

    def of(self, policy: GatePolicy, topic: str | None) -> Count:
        """What counts against the budget that holds: a topic that sets one counts by itself."""
        own = policy.topics.get(topic, {}) if topic is not None else {}
        key = topic if own.keys() & {"escalations", "escalation_share"} else None
        return self._found.setdefault(key, Count())

    @property
    def escalations(self) -> int:
        """Escalations of all of them."""
        return sum(count.escalations for count in self._found.values())
