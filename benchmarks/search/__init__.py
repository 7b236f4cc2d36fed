"""The search for the tree that wins: many ways to fork, all from the same chains.

`pool` decodes independent chains and keeps, for every token, what a fork there would have taken. `grow`
then grows trees of many settings from the first of these chains, so that settings differ in nothing but
their forks; the other chains are the truth that trees are held against. `study` makes the tables.
"""
