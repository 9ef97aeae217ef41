"""Sample data: real traffic under made-up names, so that a first answer has something to be about.

Real are the token counts, the gaps between requests inside a slice of a trace, and the prefix
blocks; made up are dates, providers, models, features, teams, users, environments, errors and cache
use. README.md beside this file says so in full, with sources and licences.
"""

from apex_actors.costs.sample.records import SAMPLE_DAYS, SAMPLE_NOTICE, SAMPLE_TAGS, sample_records

__all__ = ["SAMPLE_DAYS", "SAMPLE_NOTICE", "SAMPLE_TAGS", "sample_records"]
