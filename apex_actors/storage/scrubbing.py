"""Secrets are taken out of texts that are kept: errors quote what they met."""

import re
from typing import Final

#: What stands where a secret stood.
GONE: Final = "***"

#: A password in a URL is looked for within so many characters, so that no text takes long.
_USERINFO_CHARS: Final = 2048

#: So many times what is kept is looked at: what a cut would leave half of must be seen whole.
_LOOKED_AT: Final = 4

_NAMES: Final = r"(?:password|passwd|passphrase|secret|token|api[_-]?key|private[_-]?key|signature)"
_VALUE: Final = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;&)}\]]+)"""

_RULES: Final = tuple(
    (re.compile(pattern, re.IGNORECASE if ignore_case else 0), replacement)
    for pattern, replacement, ignore_case in (
        # scheme://user:password@host: up to the last @, because passwords are written unescaped too.
        (rf"([a-z][a-z0-9+.-]{{1,30}}://)\S{{0,{_USERINFO_CHARS}}}@", rf"\1{GONE}@", True),
        # JSON Web Tokens, and as they travel in a subprotocol (base64url once more).
        (r"(?:eyJ|ZXlK)[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){0,4}", GONE, False),
        (r"\b(bearer)\s+[^\s'\",;]+", rf"\1 {GONE}", True),
        (r"\b(basic)\s+[a-z0-9+/_-]{8,}=*", rf"\1 {GONE}", True),
        # Keys of providers and forges.
        (r"\b(sk|pk|rk|ghp|gho|ghs|xox[abpr])([-_])[A-Za-z0-9_-]{12,}", rf"\1\2{GONE}", False),
        # name=value, name: value, 'name': 'value', with names that say it.
        (
            rf"({_NAMES}[\"']?\s{{0,8}}[=:]\s{{0,8}}){_VALUE}",
            rf"\1{GONE}",
            True,
        ),
    )
)


def scrubbed(text: str, *, max_chars: int) -> str:
    """``text`` without the secrets that can be told by their form, cut to ``max_chars``.

    Passwords in URLs and in settings, bearer and basic credentials, JSON Web Tokens, keys of known
    forms. Rather too much is taken out than too little. Scrubbing again changes nothing.
    """
    most = _LOOKED_AT * max_chars
    if len(text) > most:
        # A word that was cut may be half a secret, which no rule knows any more.
        words = text[:most].rpartition(" ")[0]
        text = words if len(words) >= max_chars else text[:most]
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text[:max_chars]
