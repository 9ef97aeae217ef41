"""``python -m apex_actors``: the same as the command ``apex``."""

from apex_actors.cli import main

main()
