"""The parts of ``scripts/chaos.py``: a system that is broken again and again, and a judge of it.

``lines``, ``servers``, ``effects`` and ``fleet`` are the system, each with what may be done to it;
``node`` and ``pipeline`` run in its processes, ``mutants`` breaks the product there on purpose;
``users`` drive it and ``record`` keeps what they saw; ``faults`` says what happens when; ``verdict``
holds all of it against the eleven promises of the architecture.
"""
