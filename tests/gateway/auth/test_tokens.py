"""Tokens: what is let in, and what is not, whatever it claims."""

import base64
import dataclasses
import hmac
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from apex_actors.gateway.auth import (
    InvalidTokenError,
    SharedSecret,
    TokenAuthority,
    TokenVerifier,
    UnknownKeyError,
    VerifiedToken,
)
from apex_actors.gateway.auth.keys import KeySet, parse_key_set
from apex_actors.gateway.settings import Algorithm, AuthSettings
from apex_actors.protocol.identity import Identity, Role

SECRET = "s" * 64
NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
NOW_S = int(NOW.timestamp())
DAY_S = 86_400
CLAIMS = {"iss": "apex", "aud": "apex", "sub": "ann", "iat": NOW_S, "exp": NOW_S + 3600}
HEADER = {"typ": "JWT", "alg": "HS256"}


def segment(value):
    """A segment of a token: bytes as they are, a string as it is, anything else as JSON."""
    if isinstance(value, str):
        value = value.encode()
    elif not isinstance(value, bytes):
        value = json.dumps(value).encode()
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def without_none(fields):
    return {name: value for name, value in fields.items() if value is not None}


def token(payload=CLAIMS, header=HEADER, key=SECRET):
    """A token by hand: libraries refuse to make the bad ones."""
    signed = f"{segment(header)}.{segment(payload)}"
    key = key.encode() if isinstance(key, str) else key
    return f"{signed}.{segment(hmac.digest(key, signed.encode(), 'sha256'))}"


def claiming(**changed):
    """A well-signed token with these claims changed; None leaves one out."""
    return token(without_none(CLAIMS | changed))


def headed(**changed):
    """A well-signed token with these header parameters changed; None leaves one out."""
    return token(header=without_none(HEADER | changed))


@pytest.fixture
def authority():
    return TokenAuthority(secret=SECRET, settings=AuthSettings(), now=lambda: NOW)


# Good ones.


def test_a_good_token_names_user_org_roles_times_and_id(authority):
    roles = ["admin", "unheard-of"]
    verified = authority.verify(claiming(org="acme", roles=roles, jti="t-1"))
    assert verified == VerifiedToken(
        Identity(org="acme", sub="ann", roles=frozenset({Role.ADMIN})),
        expires_at=NOW + timedelta(hours=1),
        issued_at=NOW,
        token_id="t-1",
    )


def test_a_verified_token_is_a_value(authority):
    verified = authority.verify(token())
    with pytest.raises(dataclasses.FrozenInstanceError):
        verified.expires_at = NOW
    assert not hasattr(verified, "__dict__")


def test_the_org_is_the_user_where_none_is_named(authority):
    verified = authority.verify(token())
    assert verified.identity == Identity(org="ann", sub="ann")
    assert verified.token_id is None


@pytest.mark.parametrize(
    "accepted",
    [
        headed(typ=None),
        headed(typ="jwt"),
        headed(typ="AT+jwt"),
        headed(kid="named as the issuer likes"),
        claiming(aud=["other", "apex"]),
        claiming(iat=None),
        claiming(iat=NOW_S + 5),
        claiming(nbf=NOW_S + 5),
        claiming(exp=NOW_S - 4, iat=NOW_S - 60),
        claiming(exp=NOW_S + DAY_S),
        claiming(exp=NOW_S + 60.5, iat=NOW_S - 0.25),
        claiming(sub="x" * 128, org="Ä" * 128),
        claiming(sub="ann@example.com", jti="x" * 128),
        claiming(roles=[]),
        claiming(anything={"else": [1, 2.5, None]}),
    ],
)
def test_what_the_rules_allow_is_accepted(authority, accepted):
    assert authority.verify(accepted).identity.sub


def test_a_token_of_8_kib_is_accepted(authority):
    assert authority.verify(of_length(8192)).identity.sub == "ann"


def test_a_token_of_pyjwt_is_accepted(authority):
    assert authority.verify(jwt.encode(CLAIMS, SECRET)).identity.sub == "ann"


def test_an_issued_token_is_accepted_and_has_an_id_of_its_own(authority):
    made, expires_at = authority.issue(sub="ann", org="acme", roles=[Role.ADMIN], lifetime_s=60)
    verified = authority.verify(made)
    assert verified.identity == Identity(org="acme", sub="ann", roles=frozenset({Role.ADMIN}))
    assert (verified.issued_at, verified.expires_at) == (NOW, expires_at)
    again, _ = authority.issue(sub="ann", org="acme", lifetime_s=60)
    assert verified.token_id != authority.verify(again).token_id


@pytest.mark.parametrize(
    "wrong",
    [
        {"sub": ""},
        {"sub": "a\x00b"},
        {"org": ""},
        {"org": "x" * 200},
        {"lifetime_s": 0},
        {"lifetime_s": 10**9},
    ],
)
def test_a_token_that_would_be_refused_is_not_issued(authority, wrong):
    with pytest.raises(ValueError):
        authority.issue(**({"sub": "ann", "lifetime_s": 60} | wrong))


# Bad ones. Each is signed with the right key, unless it says otherwise.

GOOD = token()
HEAD, BODY, SIGNATURE = GOOD.split(".")
UNSIGNED = f"{segment({'alg': 'none'})}.{BODY}."


def respelled(signature):
    """Another spelling of the same bytes: the last character has bits that mean nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return signature[:-1] + alphabet[alphabet.index(signature[-1]) + 1]


def with_json(text, old, new):
    changed = text.replace(old, new, 1)
    assert changed != text
    return changed


def of_length(length):
    """A well-signed token of so many bytes."""
    for filling in range(4):
        header = HEADER | {"fill": "x" * filling}
        bare = len(token(CLAIMS | {"pad": ""}, header))
        for padding in range((length - bare) * 3 // 4 - 4, (length - bare) * 3 // 4 + 4):
            made = token(CLAIMS | {"pad": "x" * padding}, header)
            if len(made) == length:
                return made
    raise AssertionError("there is none")


CLAIMS_JSON = json.dumps(CLAIMS)

ATTACKS = {
    # The outer form.
    "empty": "",
    "one segment": "x",
    "three dots": "a.b.c.d",
    "not base64": "a.b.c",
    "no signature": f"{HEAD}.{BODY}.",
    "no header": f".{BODY}.{SIGNATURE}",
    "no claims": f"{HEAD}..{SIGNATURE}",
    "leading space": f" {GOOD}",
    "trailing newline": f"{GOOD}\n",
    "trailing garbage": f"{GOOD}.x",
    "trailing NUL": f"{GOOD}\x00",
    "padding": f"{GOOD}=",
    "the alphabet of plain base64": f"{HEAD}.{BODY}.{SIGNATURE[:-2]}+/",
    "non-canonical signature": f"{HEAD}.{BODY}.{respelled(SIGNATURE)}",
    "impossible length": f"{HEAD}.{BODY}.{SIGNATURE}AA",
    "cut signature": GOOD[:-4],
    "unicode digits": GOOD.replace(GOOD[-1], "\u0661"),
    "full-width letters": "\uff45" + GOOD[1:],
    "a lone surrogate": GOOD + "\ud800",
    "8 KiB and a byte": of_length(8193),
    "a megabyte": "A" * 2**20,
    # Algorithms.
    "none": UNSIGNED,
    "none with a signature": token(header={"alg": "none"}),
    "None": f"{segment({'alg': 'None'})}.{BODY}.{SIGNATURE}",
    "nOnE": token(header={"alg": "nOnE"}),
    "no alg": headed(alg=None),
    "alg null": token(header={"alg": None}),
    "alg in lower case": headed(alg="hs256"),
    "alg with a space": headed(alg="HS256 "),
    "alg as a list": headed(alg=["HS256"]),
    "alg as a number": headed(alg=256),
    "HS512 by name only": headed(alg="HS512"),
    "HS512 for real": jwt.encode(CLAIMS, SECRET, algorithm="HS512"),
    "RS256 by name only": headed(alg="RS256"),
    # The header.
    "header is a list": token(header=["HS256"]),
    "header is a string": token(header='"HS256"'),
    "header is no JSON": token(header="{alg: HS256}"),
    "header with garbage behind": token(header=json.dumps(HEADER) + "x"),
    "header in UTF-16": token(header=json.dumps(HEADER).encode("utf-16")),
    "header with a byte order mark": token(header=b"\xef\xbb\xbf" + json.dumps(HEADER).encode()),
    "header not UTF-8": token(header=b'{"alg": "HS256", "x": "\xff"}'),
    "header too deep": token(header='{"alg":"HS256","x":' + "[" * 2500 + "]" * 2500 + "}"),
    "alg twice": token(header='{"alg": "none", "alg": "HS256"}'),
    "crit": headed(crit=["exp"], exp=NOW_S),
    "crit empty": headed(crit=[]),
    "crit of b64": headed(crit=["b64"], b64=True),
    "b64 false": headed(b64=False),
    "b64 true": headed(b64=True),
    "jku": headed(jku="https://evil.example/keys"),
    "x5u": headed(x5u="https://evil.example/cert"),
    "x5c": headed(x5c=["MIIB"]),
    "jwk": headed(jwk={"kty": "oct", "k": segment(b"evil" * 8)}),
    "jwk signed with its own key": token(
        header=HEADER | {"jwk": {"kty": "oct", "k": segment(b"evil" * 8)}}, key=b"evil" * 8
    ),
    "typ of another kind": headed(typ="JOSE"),
    "typ empty": headed(typ=""),
    "typ with a parameter": headed(typ="JWT; x=y"),
    "typ a number": headed(typ=1),
    "typ null": token(header=HEADER | {"typ": None}),
    "kid a list": headed(kid=["a"]),
    "kid a number": headed(kid=7),
    "kid null": token(header=HEADER | {"kid": None}),
    "kid endless": headed(kid="k" * 300),
    "kid of a path, with an empty key": token(header=HEADER | {"kid": "/dev/null"}, key=b""),
    "kid of a path, with NUL as key": token(header=HEADER | {"kid": "../../dev/null"}, key=b"\0"),
    "kid of SQL, with the key it selects": token(
        header=HEADER | {"kid": "x' union select 'k' --"}, key=b"k"
    ),
    # Keys.
    "another key": token(key="o" * 64),
    "the empty key": token(key=b""),
    "signature of other claims": f"{HEAD}.{segment(CLAIMS | {'sub': 'bob'})}.{SIGNATURE}",
    "a signature that is all zero": f"{HEAD}.{BODY}.{segment(bytes(32))}",
    # Claims.
    "claims are a list": token([CLAIMS]),
    "claims are null": token("null"),
    "claims are no JSON": token("sub=ann"),
    "claims with garbage behind": token(CLAIMS_JSON + "{}"),
    "claims not UTF-8": token(b"\xff" + CLAIMS_JSON.encode()),
    "claims in UTF-16": token(CLAIMS_JSON.encode("utf-16")),
    "claims too deep": token(CLAIMS_JSON[:-1] + ',"x":' + "[" * 2500 + "]" * 2500 + "}"),
    "a nested token": token(GOOD, header=HEADER | {"cty": "JWT"}),
    "sub twice": token(with_json(CLAIMS_JSON, "{", '{"sub": "bob", ')),
    "exp twice": token(with_json(CLAIMS_JSON, "{", '{"exp": 1, ')),
    "a key twice further in": token(with_json(CLAIMS_JSON, "{", '{"x": {"a": 1, "a": 2}, ')),
    "sub twice, once in escapes": token(with_json(CLAIMS_JSON, "{", '{"s\\u0075b": "bob", ')),
    "no sub": claiming(sub=None),
    "sub null": token(CLAIMS | {"sub": None}),
    "sub empty": claiming(sub=""),
    "sub too long": claiming(sub="x" * 129),
    "sub a number": claiming(sub=7),
    "sub a list": claiming(sub=["ann"]),
    "sub an object": claiming(sub={"sub": "ann"}),
    "sub true": claiming(sub=True),
    "sub with NUL": claiming(sub="ann\x00"),
    "sub with a newline": claiming(sub="a\nb"),
    "sub with a lone surrogate": claiming(sub="\ud800"),
    "sub with a mark that turns writing": claiming(sub="ann\u202enimda"),
    "org null": token(CLAIMS | {"org": None}),
    "org empty": claiming(org=""),
    "org a number": claiming(org=7),
    "org with NUL": claiming(org="a\x00"),
    "no exp": claiming(exp=None),
    "exp null": token(CLAIMS | {"exp": None}),
    "exp a string": claiming(exp=str(NOW_S + 60)),
    "exp true": claiming(exp=True),
    "exp a list": claiming(exp=[NOW_S + 60]),
    "exp NaN": claiming(exp=float("nan")),
    "exp Infinity": claiming(exp=float("inf")),
    "exp 1e308": claiming(exp=1e308),
    "exp 1e999": token(with_json(CLAIMS_JSON, str(NOW_S + 3600), "1e999")),
    "exp negative": claiming(exp=-1),
    "exp 2**63": claiming(exp=2**63),
    "exp of 4000 digits": token(with_json(CLAIMS_JSON, str(NOW_S + 3600), "9" * 4000)),
    "exp of 5000 digits": token(with_json(CLAIMS_JSON, str(NOW_S + 3600), "9" * 5000)),
    "exp in milliseconds": claiming(exp=(NOW_S + 60) * 1000),
    "expired": claiming(exp=NOW_S - 5, iat=NOW_S - 60),
    "long expired": claiming(exp=1, iat=0),
    "over the lifetime cap": claiming(exp=NOW_S + DAY_S + 1),
    "over the cap since it was issued": claiming(iat=NOW_S - DAY_S, exp=NOW_S + 60),
    "over the cap, without iat": claiming(iat=None, exp=NOW_S + DAY_S + 1),
    "iat in the future": claiming(iat=NOW_S + 6),
    "iat far in the future, to stay under the cap": claiming(
        iat=NOW_S + 400 * DAY_S, exp=NOW_S + 401 * DAY_S
    ),
    "iat null": token(CLAIMS | {"iat": None}),
    "iat a string": claiming(iat="0"),
    "iat NaN": claiming(iat=float("nan")),
    "iat -1e308": claiming(iat=-1e308),
    "iat false": claiming(iat=False),
    "nbf in the future": claiming(nbf=NOW_S + 6),
    "nbf a string": claiming(nbf="0"),
    "nbf null": token(CLAIMS | {"nbf": None}),
    "nbf 1e308": claiming(nbf=1e308),
    "no iss": claiming(iss=None),
    "another iss": claiming(iss="other"),
    "iss a list": claiming(iss=["apex"]),
    "iss with a slash behind": claiming(iss="apex/"),
    "no aud": claiming(aud=None),
    "another aud": claiming(aud="other"),
    "aud that begins alike": claiming(aud="apex2"),
    "aud an empty list": claiming(aud=[]),
    "aud a list without us": claiming(aud=["other", "APEX"]),
    "aud a list with a number": claiming(aud=["apex", 7]),
    "aud an object": claiming(aud={"apex": True}),
    "roles a string": claiming(roles="admin"),
    "roles an object": claiming(roles={"admin": True}),
    "roles null": token(CLAIMS | {"roles": None}),
    "roles with a number": claiming(roles=["admin", 1]),
    "roles with a list": claiming(roles=[["admin"]]),
    "jti empty": claiming(jti=""),
    "jti a number": claiming(jti=7),
    "jti null": token(CLAIMS | {"jti": None}),
    "jti too long": claiming(jti="x" * 129),
    "jti with NUL": claiming(jti="a\x00"),
}


def test_the_table_of_attacks_begins_with_a_good_token(authority):
    assert authority.verify(GOOD)
    assert len(ATTACKS) >= 40


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_a_bad_token_is_refused(authority, attack):
    with pytest.raises(InvalidTokenError) as refused:
        authority.verify(attack)
    # There is one secret: no attack may cause a look for keys.
    assert not isinstance(refused.value, UnknownKeyError)


def test_a_refusal_says_nothing_of_what_the_token_holds(authority):
    for attack in ATTACKS.values():
        with pytest.raises(InvalidTokenError) as refused:
            authority.verify(attack)
        for secret in (SECRET, SIGNATURE, "evil", "ann"):
            assert secret not in str(refused.value)


def test_a_long_token_is_refused_before_it_is_decoded(authority, mocker):
    decode = mocker.patch("apex_actors.gateway.auth.compact.urlsafe_b64decode")
    with pytest.raises(InvalidTokenError, match="too long"):
        authority.verify(ATTACKS["8 KiB and a byte"])
    decode.assert_not_called()


@given(st.text())
def test_no_text_is_a_token(text):
    authority = TokenAuthority(secret=SECRET, settings=AuthSettings())
    with pytest.raises(InvalidTokenError):
        authority.verify(text)


@given(st.integers(0, len(GOOD) - 1), st.characters(codec="ascii"))
def test_no_character_of_a_token_can_be_another(position, character):
    authority = TokenAuthority(secret=SECRET, settings=AuthSettings(), now=lambda: NOW)
    changed = GOOD[:position] + character + GOOD[position + 1 :]
    if changed == GOOD:
        assert authority.verify(changed)
    else:
        with pytest.raises(InvalidTokenError):
            authority.verify(changed)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*CLAIMS, "nbf", "jti", "org", "roles"]), JSON, max_size=3))
def test_whatever_is_claimed_is_refused_or_makes_sense(changed):
    authority = TokenAuthority(secret=SECRET, settings=AuthSettings(), now=lambda: NOW)
    try:
        verified = authority.verify(token(CLAIMS | changed))
    except InvalidTokenError:
        return
    assert NOW - timedelta(seconds=5) < verified.expires_at <= NOW + timedelta(days=1, seconds=5)
    assert 1 <= len(verified.identity.sub) <= 128


# Settings and keys.


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        (AuthSettings(leeway_s=0), claiming(exp=NOW_S, iat=NOW_S - 1)),
        (AuthSettings(max_lifetime_s=60), claiming(exp=NOW_S + 61)),
        (AuthSettings(issuer="https://id.example"), GOOD),
        (AuthSettings(audience="chat"), GOOD),
    ],
)
def test_the_settings_decide(settings, refused):
    with pytest.raises(InvalidTokenError):
        TokenAuthority(secret=SECRET, settings=settings, now=lambda: NOW).verify(refused)


def test_a_short_secret_is_refused_at_once():
    with pytest.raises(ValueError, match="32 bytes"):
        TokenAuthority(secret="short", settings=AuthSettings())
    with pytest.raises(ValueError, match="32 bytes"):
        AuthSettings(secret="short")


@pytest.mark.parametrize("form", ["pem", "ssh", "jwk"])
def test_a_public_key_is_no_secret(rsa_key, jwk_of, form):
    public = rsa_key.public_key()
    secret = {
        "pem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        "ssh": public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
        "jwk": json.dumps(jwk_of(rsa_key)),
    }[form]
    for configure in (
        lambda: TokenAuthority(secret=secret, settings=AuthSettings()),
        lambda: AuthSettings(secret=secret),
    ):
        with pytest.raises(ValueError, match="no secret") as refused:
            configure()
        assert secret not in str(refused.value)


def test_keys_of_another_algorithm_than_the_settings_are_refused(tmp_path):
    settings = AuthSettings(algorithm="RS256", jwks_file=tmp_path / "keys.json")
    with pytest.raises(ValueError, match="HS256"):
        TokenVerifier(keys=SharedSecret(SECRET), settings=settings)


class FixedKeys:
    """Keys that were read once, and are looked for no more."""

    def __init__(self, data, algorithm):
        self.algorithm = algorithm
        self.keys: KeySet = parse_key_set(data, algorithm)

    def find(self, key_id):
        check = self.keys.get(key_id)
        if check is None:
            raise InvalidTokenError("the key is not known")
        return check

    async def refresh(self):
        return False


@pytest.fixture
def verifier_of(jwk_of, key_set, tmp_path):
    """A verifier that knows one published key as "one"."""

    def make(key, algorithm):
        settings = AuthSettings(algorithm=algorithm, jwks_file=tmp_path / "keys.json")
        keys = FixedKeys(key_set(jwk_of(key, kid="one")), Algorithm(algorithm))
        return TokenVerifier(keys=keys, settings=settings, now=lambda: NOW)

    return make


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_published_keys_check_signatures(request, verifier_of, algorithm):
    name = {"RS256": "rsa_key", "ES256": "ec_key", "EdDSA": "ed_key"}[algorithm]
    key = request.getfixturevalue(name)
    verifier = verifier_of(key, algorithm)
    good = jwt.encode(CLAIMS, key, algorithm=algorithm, headers={"kid": "one"})
    assert verifier.verify(good).identity.sub == "ann"
    head, body, signature = good.split(".")
    for bad in (
        f"{head}.{segment(CLAIMS | {'sub': 'bob'})}.{signature}",
        f"{head}.{body}.{signature[:-8]}",
        f"{head}.{body}.{segment(bytes(64))}",
        f"{head}.{body}.AA",
        token(),
    ):
        with pytest.raises(InvalidTokenError):
            verifier.verify(bad)


@pytest.mark.parametrize("form", [PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1])
@pytest.mark.parametrize("ending", [b"", b"\n"])
def test_the_public_key_is_no_key_for_hmac(rsa_key, verifier_of, form, ending):
    verifier = verifier_of(rsa_key, "RS256")
    pem = rsa_key.public_key().public_bytes(Encoding.PEM, form).strip() + ending
    for algorithm in ("HS256", "RS256"):
        confused = token(header={"alg": algorithm, "kid": "one"}, key=pem)
        with pytest.raises(InvalidTokenError):
            verifier.verify(confused)


def test_a_token_signed_by_a_key_of_its_own_header_is_refused(
    other_rsa_key, rsa_key, verifier_of, jwk_of
):
    verifier = verifier_of(rsa_key, "RS256")
    own = jwk_of(other_rsa_key, kid="one")
    for header in ({"jwk": own}, {"jku": "https://evil.example"}, {"x5c": ["MIIB"]}, {}):
        forged = jwt.encode(
            CLAIMS, other_rsa_key, algorithm="RS256", headers={"kid": "one"} | header
        )
        with pytest.raises(InvalidTokenError):
            verifier.verify(forged)
