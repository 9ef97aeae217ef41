"""Where published keys come from: files that change, servers that do not mean well."""

import os
import threading

import jwt
import pytest

from apex_actors.gateway.auth import (
    InvalidTokenError,
    KeysUnavailableError,
    KeyWatch,
    PublishedKeys,
    TokenVerifier,
)
from apex_actors.gateway.auth.jwks import MAX_KEY_SET_BYTES, JwksFile, JwksUrl
from apex_actors.gateway.settings import AuthSettings

# Files.


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.json"


async def test_a_file_is_read_again_only_when_it_changed(path):
    source = JwksFile(path)
    path.write_bytes(b"one")
    first = await source.read(None)
    assert first.data == b"one"
    assert await source.read(first.version) is None
    path.write_bytes(b"three")
    second = await source.read(first.version)
    assert second.data == b"three"
    replacement = path.with_name("new")
    replacement.write_bytes(b"xhree")
    os.utime(replacement, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    replacement.replace(path)
    assert (await source.read(second.version)).data == b"xhree"


async def test_a_file_is_read_beside_the_event_loop(path, mocker):
    path.write_bytes(b"keys")
    threads = []
    real = os.open
    mocker.patch("os.open", lambda *a: (threads.append(threading.current_thread()), real(*a))[1])
    await JwksFile(path).read(None)
    assert threading.main_thread() not in threads
    assert threads


async def test_a_file_that_is_none_is_said_so(path, tmp_path):
    with pytest.raises(KeysUnavailableError, match="No such file"):
        await JwksFile(path).read(None)
    with pytest.raises(KeysUnavailableError, match="directory"):
        await JwksFile(tmp_path).read(None)
    os.mkfifo(path)
    with pytest.raises(KeysUnavailableError, match="no regular file"):
        await JwksFile(path).read(None)


async def test_a_file_too_large_is_not_taken(path):
    path.write_bytes(b" " * (MAX_KEY_SET_BYTES + 1))
    with pytest.raises(KeysUnavailableError, match="262144 bytes"):
        await JwksFile(path).read(None)


async def test_a_half_written_file_changes_nothing_until_it_is_whole(
    path, rsa_key, jwk_of, key_set, now_s
):
    settings = AuthSettings(algorithm="RS256", jwks_file=path)
    keys = PublishedKeys.of(settings)
    verifier = TokenVerifier(keys=keys, settings=settings)
    whole = key_set(jwk_of(rsa_key, kid="one"))
    claims = {"iss": "apex", "aud": "apex", "sub": "ann", "exp": now_s + 60}
    token = jwt.encode(claims, rsa_key, algorithm="RS256", headers={"kid": "one"})
    path.write_bytes(whole)
    assert await keys.look()
    path.write_bytes(whole[:100])
    assert not await keys.look()
    assert verifier.verify(token)
    path.write_bytes(whole)
    assert await keys.look()


# Servers.


async def test_keys_come_from_a_server(key_server):
    key_server.body = b'{"keys": []}'
    published = await JwksUrl(key_server.url).read(None)
    assert published.data == key_server.body
    assert key_server.requests == ["/keys"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(key_server, status):
    def redirect(handler):
        handler.send_response(status)
        handler.send_header("Location", key_server.url.replace("/keys", "/elsewhere"))
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    key_server.answer = redirect
    with pytest.raises(KeysUnavailableError, match=str(status)):
        await JwksUrl(key_server.url).read(None)
    assert key_server.requests == ["/keys"]


@pytest.mark.parametrize("status", [204, 401, 404, 500])
async def test_another_answer_than_200_brings_no_keys(key_server, status):
    def refuse(handler):
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    key_server.answer = refuse
    with pytest.raises(KeysUnavailableError, match=str(status)):
        await JwksUrl(key_server.url).read(None)


async def test_an_endless_answer_is_cut(key_server):
    def pour(handler):
        handler.send_response(200)
        handler.end_headers()
        while not key_server.release.is_set():
            handler.wfile.write(b" " * 65536)

    key_server.answer = pour
    with pytest.raises(KeysUnavailableError, match="more than 262144 bytes"):
        await JwksUrl(key_server.url).read(None)


async def test_a_compressed_answer_is_not_unpacked(key_server):
    def compress(handler):
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", "4")
        handler.end_headers()
        handler.wfile.write(b"bomb")

    key_server.answer = compress
    with pytest.raises(KeysUnavailableError, match="compressed"):
        await JwksUrl(key_server.url).read(None)


@pytest.mark.parametrize("part", ["head", "body"])
async def test_a_server_that_trickles_costs_no_more_than_the_limit(key_server, part, caplog):
    def trickle(handler):
        if part == "body":
            handler.send_response(200)
            handler.end_headers()
        while not key_server.release.wait(0.005):
            handler.wfile.write(b"x")
            handler.wfile.flush()

    key_server.answer = trickle
    settings = AuthSettings(algorithm="RS256", jwks_url=key_server.url, jwks_timeout_s=0.1)
    keys = PublishedKeys.of(settings)
    assert await keys.look() is False
    assert "no answer within 0.1 s" in caplog.text


async def test_a_server_that_hangs_up_brings_no_keys(key_server):
    key_server.answer = lambda handler: handler.connection.close()
    with pytest.raises(KeysUnavailableError):
        await JwksUrl(key_server.url).read(None)


async def test_a_server_that_is_not_there_brings_no_keys():
    with pytest.raises(KeysUnavailableError):
        await JwksUrl("http://127.0.0.1:1/keys").read(None)


async def test_an_untrusted_certificate_brings_no_keys(key_server):
    with pytest.raises(KeysUnavailableError):
        await JwksUrl(key_server.url.replace("http:", "https:")).read(None)
    assert key_server.requests == []


async def test_no_proxy_and_no_password_of_the_environment_is_used(
    key_server, tmp_path, monkeypatch
):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    sent = []

    def note(handler):
        sent.append(handler.headers.get("Authorization"))
        handler.send_response(200)
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(b"{}")

    key_server.answer = note
    assert (await JwksUrl(key_server.url).read(None)).data == b"{}"
    assert sent == [None]


async def test_keys_of_a_server_change_without_a_restart(
    key_server, rsa_key, other_rsa_key, jwk_of, key_set, now_s
):
    settings = AuthSettings(algorithm="RS256", jwks_url=key_server.url)
    keys = PublishedKeys.of(settings)
    verifier = TokenVerifier(keys=keys, settings=settings)
    key_server.body = key_set(jwk_of(rsa_key, kid="one"))
    watch = KeyWatch.start(keys=keys, interval_s=60)
    await watch.started()
    claims = {"iss": "apex", "aud": "apex", "sub": "ann", "exp": now_s + 60}
    old = jwt.encode(claims, rsa_key, algorithm="RS256", headers={"kid": "one"})
    new = jwt.encode(claims, other_rsa_key, algorithm="RS256", headers={"kid": "two"})
    assert verifier.verify(old)
    key_server.body = key_set(jwk_of(other_rsa_key, kid="two"))
    assert await verifier.authenticate(new)
    with pytest.raises(InvalidTokenError):
        await verifier.authenticate(old)
    for number in range(20):
        unknown = jwt.encode(claims, rsa_key, algorithm="RS256", headers={"kid": f"{number}"})
        with pytest.raises(InvalidTokenError):
            await verifier.authenticate(unknown)
    assert len(key_server.requests) == 2
    await watch.stop_async()


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example/keys",
        "http://127.0.0.1.evil.example/keys",
        "http://localhost.evil.example/keys",
        "http://localhost@evil.example/keys",
        "https://me:secret@id.example/keys",
        "file:///etc/passwd",
        "ftp://id.example/keys",
        "data:application/json,{}",
        "https://",
        "id.example/keys",
        "https://id.example/keys#part",
        "https://id.example:99999/keys",
        "https://[::1/keys",
        "https://id.example/\nkeys",
        "https://id.example/a b",
        "",
    ],
)
def test_an_unsafe_address_is_refused_at_configuration(url):
    with pytest.raises(ValueError) as refused:
        AuthSettings(algorithm="RS256", jwks_url=url)
    assert "me:secret" not in str(refused.value)
    with pytest.raises(ValueError, match="jwks_url"):
        JwksUrl(url)


@pytest.mark.parametrize(
    "url", ["https://id.example/keys?tenant=7", "http://[::1]:8080/keys", "http://localhost/keys"]
)
def test_a_safe_address_is_taken(url):
    assert AuthSettings(algorithm="RS256", jwks_url=url).jwks_url == url
