"""Public quality scores of models by task, with their sources in README.md beside this file."""

from apex_actors.costs.quality.scores import Comparison, QualityScores, quality_scores

__all__ = ["Comparison", "QualityScores", "quality_scores"]
