"""Askfirst: no restart without proof and a human yes.

A guarded remote-restart gatekeeper. A request to restart a service has to be proved on the host itself, then a human
who is not the requester approves that proof, then exactly what was approved runs over SSH, once, and is checked
afterwards.

The folders are rings, and imports point down only::

    main       wires everything together, once
    web api cli            RING 3  the doors: pages, JSON, commands; one file a noun
    statuses shapes                what doors share: errors as HTTP statuses, and what more than one answers as JSON
    flow                   RING 1  the order of steps: ask, decide, execute, settle; watch, sweep; registry, people
    store ssh identity     RING 2  adapters: database and audit log; the only code that reaches a host; passwords
    gate                   RING 0  the shell program that runs on a host, assembled from text
    managers               RING 0  one file for each process manager; no other file knows a manager's name
    core                   RING 0  pure: claims, facts, judge, need, warrant, life cycle, policy, outcome

Where to start reading, in an hour and without knowing FastAPI or SSH: ``core/facts`` (what a host can show),
``core/judge`` (what follows from it), ``core/warrant`` (the text that is approved), ``core/lifecycle`` (what can happen
to a request), ``managers/supervisor`` (one manager, whole), then ``flow/ask``, ``flow/decide`` and ``flow/execute``.
The laws that modules name by their number stand in CONTRIBUTING.md.
"""

__version__ = "0.1.0"
