"""Questions understood without a language model: a text in, intents and slots out.

Pure functions of the text, the moment, the time zone, the names in a user's own data and the question
before. What can't be read as a whole is not answered in part: it comes back as `NotUnderstood`, with
three questions that can be. Every choice leaves its evidence.
"""

from apex_actors.costs.questions.question import (
    Amount,
    By,
    CostUnit,
    Facet,
    Filter,
    Granularity,
    Intent,
    Metric,
    NotUnderstood,
    Question,
    Switch,
)
from apex_actors.costs.questions.understanding import QuestionReader, understand
from apex_actors.costs.questions.vocabulary import Vocabulary

__all__ = [
    "Amount",
    "By",
    "CostUnit",
    "Facet",
    "Filter",
    "Granularity",
    "Intent",
    "Metric",
    "NotUnderstood",
    "Question",
    "QuestionReader",
    "Switch",
    "Vocabulary",
    "understand",
]
