"""What ``scripts/bench.py`` measures: one package for each benchmark, and what they share.

A benchmark is a function that takes Settings and a teller of progress and returns Figures. None
of them knows another one, nor how figures are printed.
"""
