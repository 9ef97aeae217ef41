"""What single words speak for. A word has one concept; sentences are nobody's business here."""

from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Final


class Concept(Enum):
    """What a word speaks for."""

    COST = auto()
    TOKENS = auto()
    REQUESTS = auto()
    LATENCY = auto()
    ERRORS = auto()
    SUM = auto()
    """The whole, or a report about it."""
    SPLIT = auto()
    MOST = auto()
    LEAST = auto()
    TREND = auto()
    COMPARE = auto()
    WHY = auto()
    CHANGE = auto()
    ANOMALY = auto()
    FORECAST = auto()
    WILL = auto()
    BUDGET = auto()
    LIMIT = auto()
    """Over or under an amount."""
    CACHE = auto()
    HIT = auto()
    WASTE = auto()
    SAVING = auto()
    CHEAPER = auto()
    SWITCH = auto()
    INSTEAD = auto()
    UNPRICED = auto()
    PRICE = auto()
    HELP = auto()
    BATCH = auto()
    PAST = auto()
    """A verb that says that what is asked for has happened."""
    ANAPHOR = auto()
    """Points back to what the thread is about."""
    ELLIPSIS = auto()
    """Opens a question that goes on from the one before."""
    NEGATION = auto()
    ONLY = auto()
    EACH = auto()
    JOIN = auto()
    PREPOSITION = auto()
    AUXILIARY = auto()
    QUESTION = auto()
    DETERMINER = auto()
    NUMBER = auto()
    CURRENCY = auto()
    TIME = auto()
    FACET = auto()
    SUBJECT = auto()
    """What all records are about: AI, models in general, "our usage"."""
    PLAIN = auto()
    """Says nothing about what is asked: courtesy, small words, people who want to know."""
    QUALITY = auto()
    CONTENT = auto()
    BUSINESS = auto()
    CARBON = auto()
    ORDER = auto()
    """An order to do something other than to answer."""
    FOREIGN = auto()


C = Concept

UNANSWERABLE: Final[Mapping[Concept, str]] = MappingProxyType({
    C.QUALITY: "The records say what was used, not how good the answers were.",
    C.CONTENT: "The records hold no text of prompts or answers.",
    C.BUSINESS: "The records hold the use of AI only: no revenue, salaries or other expenses.",
    C.CARBON: "The records say nothing about energy or emissions.",
    C.ORDER: "I answer questions about AI costs; I don't change anything.",
    C.FOREIGN: "That is not about your AI costs.",
})  # fmt: skip
"""Concepts that no answer can be given to, and why."""

_WORDS: Mapping[Concept, str] = {
    C.COST: "cost costs costing spend spends spending spendings spent expense expenses expenditure "
    "expenditures bill bills billed billing invoice invoices money pay paid pays payed paying "
    "charge charged charges burn burned burning burnt expensive pricey costly outlay damage",
    C.TOKENS: "token tokens",
    C.REQUESTS: "request requests call calls query queries",
    C.LATENCY: "latency latencies slow slower fast faster speed ttft response responsiveness "
    "duration",
    C.ERRORS: "error errors failure failures failing",
    C.SUM: "total totals sum overall overview summary summarize summarise report reports analyze "
    "analyse analysis analyzed figures numbers statistics stats dashboard amount",
    C.SPLIT: "breakdown break broken split splitted splits distribution distributed divided divide "
    "share shares shared percentage percent proportion allocation allocated segmented grouped group composition",
    C.MOST: "top most biggest largest highest costliest priciest heaviest greatest main major rank "
    "ranked ranking leading worst slowest order ordered sort sorted",
    C.LEAST: "least cheapest lowest smallest fastest fewest",
    C.TREND: "trend trends trending develop developed developing evolve evolved "
    "evolution growing grow graph plot chart curve timeline history historical progression daily "
    "weekly monthly hourly",
    C.COMPARE: "compare compared comparing comparison versus vs against difference differences "
    "differ than beside side",
    C.WHY: "why reason reasons cause causes caused explain explanation explains driver drivers "
    "drove drives driving",
    C.CHANGE: "increase increased increases increasing rise rose risen rising jump jumped drop "
    "dropped fall fell fallen falling decrease decreased change changed changes surge surged climb "
    "climbed grew higher lower went up down high low hike",
    C.ANOMALY: "anomaly anomalies anomalous spike spikes spiked spiking unusual unusually strange "
    "weird outlier outliers abnormal odd oddities suspicious ordinary irregular irregularities unexpected",
    C.FORECAST: "forecast forecasts forecasted predict predicted prediction predictions project "
    "projected projection projections expect expected estimate estimated land outlook runrate",
    C.WILL: "will gonna",
    C.BUDGET: "budget budgets",
    C.LIMIT: "over under exceed exceeds exceeded exceeding overspend overspent overspending within "
    "limit limits cap below above left remaining run out stay stayed overrun",
    C.CACHE: "cache caches caching cached",
    C.HIT: "hit hits hitrate",
    C.WASTE: "waste wastes wasted wasting duplicate duplicates duplicated repeated retry retries "
    "retried truncated truncation truncations failed lose losing lost unnecessary useless",
    C.SAVING: "save saves saving savings saved reduce reduces reduced reducing reduction cut "
    "cutting cuts optimize optimise optimizing optimising optimization optimisation optimizations "
    "recommendation recommendations recommend tip tips advice advise shrink trim economize "
    "wins levers bring improve",
    C.CHEAPER: "cheaper",
    C.SWITCH: "switch switched switching switches replace replaced replacing swap swapped swapping "
    "move moved moving migrate migrated migrating migration",
    C.INSTEAD: "instead rather",
    C.UNPRICED: "unpriced uncovered coverage priced",
    C.PRICE: "price prices pricing",
    C.HELP: "help commands",
    C.BATCH: "batch batching offpeak",
    C.PAST: "did had has have used was were been came come came used happened made send sends sent consumed "
    "produced generated",
    C.ANAPHOR: "it that those them this these there its same",
    C.ELLIPSIS: "and about only just same also now then but instead ok okay so",
    C.NEGATION: "without excluding exclude excludes except excepting not no minus ignoring ignore "
    "besides omit omitting sans",
    C.ONLY: "only just",
    C.EACH: "by per each every across among amongst",
    C.JOIN: "and or plus also but then",
    C.PREPOSITION: "for of on in at from to with into as during via using through since until "
    "till before after around about between off onto",
    C.AUXILIARY: "is are am be being do does can could would should may might must shall use uses "
    "using let ran running send spends spender spenders",
    C.QUESTION: "what which who whom how where when whether if",
    C.DETERMINER: "the a an our my your their his her we us i you they he she all any some "
    "everything anything something one ones both other others",
    C.NUMBER: "two three four five six seven eight nine ten eleven twelve fifteen twenty thirty "
    "fifty hundred couple few",
    C.CURRENCY: "dollar dollars usd eur euro euros gbp pound pounds cents cent bucks",
    C.TIME: "today yesterday tomorrow hour hours day days week weeks month months quarter quarters "
    "year years fortnight weekend weekends last past previous prior next coming current ago so far "
    "recent recently lately currently date time ever period periods half end start beginning "
    "first second third fourth rest monday tuesday wednesday thursday friday saturday sunday "
    "mondays tuesdays wednesdays thursdays fridays saturdays sundays weekday weekdays "
    "january february april june july august september october november december ytd mtd "
    "qtd wtd begin earlier later onwards always lifetime entire whole rolling trailing",
    C.FACET: "model models provider providers vendor vendors feature features product products "
    "team teams department departments user users person people environment environments env envs "
    "session sessions conversation conversations processing tag tags status",
    C.SUBJECT: "ai llm llms genai api apis usage usages use consumption consume inference input output "
    "prompt prompts prompting agent agents data records tool tools system company organisation "
    "organization org business",
    C.PLAIN: "counting including include included includes type types kind kinds also tell told more please pls plz thanks thank thx hi hey hello dear good morning afternoon evening "
    "sorry hm hmm um uh well actually really very much many lot lots too quite roughly "
    "approximately approx exactly precisely tell show give get list display page see view want wants "
    "need needs like know find look looking figure check asking asks wondering wonder curious let "
    "lets me boss chief cfo ceo cto manager finance board meeting controller slides kindly "
    "again quick quickly apart question here way ways possible possibly able maybe perhaps "
    "idea ideas mean means say says got gets make makes put take taken looks happen happens "
    "happening doing done work works working pays paying off biggie bad leave leaving detect detected identify spot together produce consume consumes generate eat eats eating behind suggest suggestion suggestions fat go goes going gone per million million thousand thousands "
    "average avg mean median rate ratio count counts number numbers value values id ids details "
    "detail info information terms each single things thing stuff situation right wrong still "
    "currently actual per anyway dont doesnt didnt isnt arent whats hows wheres cant wont yes yeah "
    "sure fine great cool nice bro guys folks folk sir madam im ive id were id hello "
    "which's account accounts monitor track tracking seem seems "
    "through accross drill deeper deep into more as well nor too best practices "
    "problem problems issue issues topic out keep kept understand understanding interested "
    "interesting overall exact answer answers",
    C.QUALITY: "smart smarter smartest accurate accuracy quality intelligent intelligence "
    "hallucinate hallucinates hallucination hallucinations reliable correctness helpful best better",
    C.CONTENT: "ask asked said wrote content contents topic topics text transcript transcripts",
    C.BUSINESS: "revenue revenues profit profits margin margins salary salaries wage wages "
    "employees headcount roi rent payroll tax taxes turnover income satisfaction "
    "satisfied happy customers storage s3 ec2 aws server servers gdp stock",
    C.CARBON: "carbon co2 emission emissions footprint energy electricity water climate",
    C.ORDER: "delete remove erase cancel raise set email create buy upgrade downgrade disable "
    "enable turn stop upload import translate write code program compose draw print build sing "
    "instructions pretend",
    C.FOREIGN: "weather rain raining snow poem joke jokes recipe recipes capital president "
    "football soccer movie movies song songs music css html python javascript world france "
    "germany german english french homework essay story news bitcoin crypto travel flight flights",
}

WORDS: Final[Mapping[str, Concept]] = MappingProxyType(
    {word: concept for concept in reversed(tuple(_WORDS)) for word in _WORDS[concept].split()}
)
"""The concept of each known word; where two list it, the one that stands higher above has it."""

SHORTHANDS: Final[Mapping[str, str]] = MappingProxyType({
    "lst": "last", "nxt": "next", "yday": "yesterday", "wk": "week", "wks": "weeks",
    "mth": "month", "mths": "months", "mo": "month", "hrs": "hours", "hr": "hour", "yr": "year",
    "prev": "previous", "avg": "average", "reqs": "requests", "req": "request", "prod": "production",
    "ur": "your", "u": "you", "r": "are", "da": "the", "teh": "the", "hte": "the", "n": "and",
    "tok": "tokens", "toks": "tokens", "bday": "day", "wat": "what", "hw": "how", "env": "environment",
    "dept": "department", "lsat": "last",
})  # fmt: skip
"""Usual ways to write a word shorter."""

FUNCTION: Final = frozenset({
    C.PREPOSITION, C.AUXILIARY, C.QUESTION, C.DETERMINER, C.PLAIN, C.JOIN, C.ELLIPSIS, C.ANAPHOR,
    C.EACH, C.ONLY, C.PAST, C.NEGATION, C.NUMBER, C.TIME,
})  # fmt: skip
"""Concepts that a sentence about anything may use: they are no evidence for costs."""


def concept_of(word: str) -> Concept | None:
    """What a word speaks for; None: unknown."""
    return WORDS.get(word)
