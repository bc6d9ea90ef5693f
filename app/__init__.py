"""Askfirst: the host proves what runs, a human clicks, then exactly that is restarted.

The map. Imports point down only, from the first line to the last:

main            the only place that wires the rest together
web api cli     the doors, one file for each noun
flow            the order of steps: ask, decide, execute, settle
store ssh identity   the adapters: database and audit log, hosts, people
gate            the text that runs on a host
managers        one file for each process manager
core            the rules, as pure values and functions

`settings` and `paths` stand beside the rings. Start reading at `core/facts.py`.
"""
