"""Answers that say the same in other words: decoded, labelled by hand, judged."""
