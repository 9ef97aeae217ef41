"""Names of providers and models, as the price catalogue knows them."""

from functools import lru_cache

from genai_prices.data_snapshot import find_provider_by_id, get_snapshot

from apex_actors.costs.records import Processing

_ALIASES = {
    "amazon web services": "aws",
    "aws_bedrock": "aws",
    "az.ai.inference": "azure",
    "az.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "azure_ai": "azure",
    "azure_text": "azure",
    "claude": "anthropic",
    "gcp": "google",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "google cloud": "google",
    "microsoft": "azure",
    "mistral_ai": "mistral",
    "togetherai": "together",
    "x_ai": "x-ai",
}
"""What gateways, traces and bills call them, where the catalogue has no rule for it."""

_PROCESSING = {
    "batch": Processing.BATCH,
    "batches": Processing.BATCH,
    "flex": Processing.FLEX,
    "priority": Processing.PRIORITY,
    "standard": Processing.STANDARD,
    "default": Processing.STANDARD,
    "on_demand": Processing.STANDARD,
}

_MOST_KEPT = 1024


@lru_cache(maxsize=_MOST_KEPT)
def known_provider(name: str) -> str:
    """The catalogue's id of a provider; the name in lower case where it has none."""
    wanted = name.strip().lower()
    wanted = _ALIASES.get(wanted, wanted)
    found = find_provider_by_id(get_snapshot().providers, wanted)
    return found.id if found is not None else wanted


@lru_cache(maxsize=_MOST_KEPT)
def provider_of_model(model: str) -> str | None:
    """Whose model it is by its name, if the catalogue can tell."""
    prefix, slash, _rest = model.lower().partition("/")
    providers = get_snapshot().providers
    if slash and (found := find_provider_by_id(providers, _ALIASES.get(prefix, prefix))):
        return found.id
    for provider in providers:
        if provider.model_match is not None and provider.model_match.is_match(model.lower()):
            return provider.id
    return None


def bare_model(model: str, provider: str) -> str:
    """The model without the provider that gateways write before it, as in ``openai/gpt-5``."""
    prefix, slash, rest = model.partition("/")
    return rest if slash and rest and known_provider(prefix) == provider else model


def service_class(name: object) -> Processing | None:
    """The service class that a provider calls so; None where it says nothing that is known."""
    return _PROCESSING.get(name.strip().lower()) if isinstance(name, str) else None
