"""Attacks on HTTP: requests that two parsers may read in two ways, and handshakes that are none."""

from collections.abc import Callable, Iterable
from typing import Final

from attack_kit.cases import Case, Cut, Http, Welcome
from attack_kit.target import Target
from attack_kit.wire import Header, handshake, in_subprotocol, request

LOCAL: Final = ("Host", "localhost")
JSON: Final = ("Content-Type", "application/json")
SIGN_IN: Final = b'{"sub":"ann"}'
SMUGGLED: Final = b"GET /healthz HTTP/1.1\r\nHost: smuggled\r\n\r\n"
BAD: Final = Http(400)
OK: Final = Http(200)
CHUNKED: Final = ("Transfer-Encoding", "chunked")


def sign_in(
    *headers: Header, body: bytes = SIGN_IN, line: str = "POST /dev/token HTTP/1.1"
) -> bytes:
    """The one request with a body that needs no token."""
    return request(line, (LOCAL, JSON, *headers), body)


def length(size: int | str) -> Header:
    return ("Content-Length", str(size))


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


END: Final = b"0\r\n\r\n"
GOOD_CHUNKS: Final = chunk(SIGN_IN) + END


def opening(*, extra: Iterable[Header] = (), **options: str | None) -> Callable[[Target], bytes]:
    """A handshake with a good token, and something else about it."""
    return lambda target: handshake(target.token(), extra=extra, **options)


def healthz(*headers: Header, line: str = "GET /healthz HTTP/1.1", body: bytes = b"") -> bytes:
    return request(line, (("Host", "x"), *headers), body)


SMUGGLING: Final = [
    Case("length and chunks", sign_in(length(13), CHUNKED, body=GOOD_CHUNKS), BAD),
    Case("chunks and length", sign_in(CHUNKED, length(6), body=b"0\r\n\r\nG" + SMUGGLED), BAD),
    Case("two lengths that differ", sign_in(length(13), length(0), body=SIGN_IN), BAD),
    Case("two lengths that agree", sign_in(length(13), length(13), body=SIGN_IN), BAD),
    Case("a list of lengths", sign_in(length("13, 13")), BAD),
    Case("a negative length", sign_in(length(-1)), BAD),
    Case("a length with a plus", sign_in(length("+13")), BAD),
    Case("a length in hexadecimal", sign_in(length("0xd")), BAD),
    Case("a length with a space in it", sign_in(length("1 3")), BAD),
    Case("a length beyond 64 bits", sign_in(length("9" * 30)), BAD),
    Case("an empty length", sign_in(length("")), BAD),
    Case("a length with an underscore", sign_in(length("1_3")), BAD),
    Case("a good body in chunks", sign_in(CHUNKED, body=GOOD_CHUNKS), OK),
    Case("chunks named twice", sign_in(CHUNKED, CHUNKED, body=GOOD_CHUNKS), (BAD, Http(501))),
    Case(
        "chunks before another coding",
        sign_in(("Transfer-Encoding", "chunked, identity"), body=GOOD_CHUNKS),
        (BAD, Http(501)),
    ),
    Case(
        "a coding that nobody knows",
        sign_in(("Transfer-Encoding", "xchunked"), body=GOOD_CHUNKS),
        (BAD, Http(501)),
    ),
    Case(
        "a coding hidden by a vertical tab",
        sign_in(("Transfer-Encoding", "\x0bchunked"), body=GOOD_CHUNKS),
        (BAD, Http(501)),
    ),
    Case(
        "a coding with a space before its colon",
        sign_in(("Transfer-Encoding ", "chunked"), body=GOOD_CHUNKS),
        BAD,
    ),
    Case("a negative chunk", sign_in(CHUNKED, body=b"-1\r\nx\r\n" + END), BAD),
    Case("a chunk beyond 64 bits", sign_in(CHUNKED, body=b"f" * 17 + b"\r\nx"), BAD),
    Case("a chunk size with 0x", sign_in(CHUNKED, body=b"0xd\r\n" + SIGN_IN + b"\r\n" + END), BAD),
    Case(
        "a chunk longer than its size",
        sign_in(CHUNKED, body=b"d\r\n" + SIGN_IN + b"xx\r\n" + END),
        BAD,
    ),
    Case("a chunk ended by LF", sign_in(CHUNKED, body=b"d\n" + SIGN_IN + b"\n0\n\n"), BAD),
    Case(
        "a chunk extension of 64 KiB",
        sign_in(CHUNKED, body=b"d;" + b"x" * 65_536 + b"\r\n" + SIGN_IN + b"\r\n" + END),
        (BAD, OK, Http(413), Http(431)),
    ),
    Case(
        "a token in the trailer",
        lambda target: request(
            "GET /api/runs/00000000-0000-4000-8000-000000000000/report.md HTTP/1.1",
            (("Host", "x"), CHUNKED),
            b"0\r\nAuthorization: Bearer " + target.token().encode() + b"\r\n\r\n",
        ),
        Http(401, "unauthorized"),
    ),
    Case(
        "a trailer of 64 KiB",
        sign_in(CHUNKED, body=chunk(SIGN_IN) + b"0\r\nX: " + b"x" * 65_536 + b"\r\n\r\n"),
        (BAD, Http(413), Http(431)),
    ),
    Case("lines ended by LF alone", b"GET /healthz HTTP/1.1\nHost: x\n\n", BAD),
    Case("one header ended by LF", b"GET /healthz HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", BAD),
    Case("one header ended by CR", b"GET /healthz HTTP/1.1\r\nHost: x\rX: y\r\n\r\n", BAD),
    Case("a folded header", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n", BAD),
    Case("a first header that is folded", b"GET /healthz HTTP/1.1\r\n Host: x\r\n\r\n", BAD),
    Case("a NUL in a value", healthz(("X", "a\0b")), BAD),
    Case("a NUL in a name", healthz(("X\0Y", "a")), BAD),
    Case("another control character in a value", healthz(("X", "a\x01b")), (BAD, OK)),
    Case("a space before a colon", healthz(("X ", "a")), BAD),
    Case("a space in a name", healthz(("X Y", "a")), BAD),
    Case("a header without a name", healthz(("", "a")), BAD),
    Case("a header without a colon", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX\r\n\r\n", BAD),
    Case("bytes beyond ASCII in a name", healthz(("X\xe9", "a")), BAD),
    Case("bytes beyond ASCII in a value", healthz(("X", "\xe9")), OK),
    Case("two spaces in the request line", healthz(line="GET  /healthz HTTP/1.1"), (BAD, OK)),
    Case("a tab in the request line", healthz(line="GET\t/healthz\tHTTP/1.1"), BAD),
    Case("a space in the target", healthz(line="GET /healthz x HTTP/1.1"), BAD),
    Case(
        "HTTP/0.9",
        b"GET /healthz\r\n\r\n",
        BAD,
    ),
    Case("HTTP/1.0", healthz(line="GET /healthz HTTP/1.0"), OK),
    Case("HTTP/1.2", healthz(line="GET /healthz HTTP/1.2"), (BAD, OK, Http(505))),
    Case(
        "HTTP/2.0 by name",
        healthz(line="GET /healthz HTTP/2.0"),
        (BAD, Http(505)),
    ),
    Case("HTTP/9.9", healthz(line="GET /healthz HTTP/9.9"), (BAD, Http(505))),
    Case("HTTP/1.1 in small letters", healthz(line="GET /healthz http/1.1"), BAD),
    Case("HTTP/11.1", healthz(line="GET /healthz HTTP/11.1"), BAD),
    Case(
        "the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 20, (BAD, Http(505))
    ),
    Case("a greeting of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 50, BAD),
    Case("a method that nobody knows", healthz(line="BREW /healthz HTTP/1.1"), (BAD, Http(405))),
    Case("a method in small letters", healthz(line="get /healthz HTTP/1.1"), (BAD, Http(405))),
    Case("TRACE", healthz(line="TRACE /healthz HTTP/1.1"), (BAD, Http(405))),
    Case("CONNECT to somewhere", request("CONNECT evil.example:443 HTTP/1.1"), (BAD, Http(405))),
    Case(
        "OPTIONS of everything",
        request("OPTIONS * HTTP/1.1"),
        (BAD, Http(404), Http(405), Http(204)),
    ),
    Case(
        "no Host",
        request("GET /healthz HTTP/1.1", ()),
        BAD,
    ),
    Case(
        "two Hosts",
        healthz(("Host", "y")),
        BAD,
    ),
    Case("an empty Host", request("GET /healthz HTTP/1.1", (("Host", ""),)), (BAD, OK)),
    Case(
        "a Host that is no host", sign_in(("X", "x")).replace(b"localhost", b"["), (BAD, Http(403))
    ),
    Case(
        "a Host with a bad port",
        sign_in(("X", "x")).replace(b"localhost", b"x:port"),
        (BAD, Http(403)),
    ),
    Case(
        "a Host with a login",
        sign_in(length(13)).replace(b"localhost", b"localhost@evil"),
        (BAD, Http(403)),
    ),
    Case(
        "a whole URL as target", healthz(line="GET http://x/healthz HTTP/1.1"), (BAD, OK, Http(404))
    ),
    Case("a host alone as target", healthz(line="GET x:80 HTTP/1.1"), BAD),
    Case("an URL that is none", healthz(line="GET http://[/healthz HTTP/1.1"), (BAD, Http(404))),
    Case(
        "a path out of the folder",
        healthz(line="GET /static/../../settings.py HTTP/1.1"),
        Http(404),
    ),
    Case(
        "the same, hidden",
        healthz(line="GET /static/%2e%2e/%2e%2e/settings.py HTTP/1.1"),
        Http(404),
    ),
    Case(
        "the same, with backslashes",
        healthz(line="GET /static/..%5c..%5csettings.py HTTP/1.1"),
        Http(404),
    ),
    Case("a file by its whole path", healthz(line="GET /static//etc/passwd HTTP/1.1"), Http(404)),
    Case("a NUL in the path", healthz(line="GET /static/%00 HTTP/1.1"), (BAD, Http(404))),
    Case(
        "a name as long as no file's",
        healthz(line=f"GET /static/{'x' * 5000} HTTP/1.1"),
        (BAD, Http(404)),
    ),
    Case("a path of broken escapes", healthz(line="GET /%zz%f HTTP/1.1"), (BAD, Http(404))),
    Case("a path that is no UTF-8", healthz(line="GET /static/%ff%fe HTTP/1.1"), (BAD, Http(404))),
    Case(
        "100 headers too many",
        healthz(*[(f"X-{number}", "a") for number in range(5000)]),
        Http(431),
    ),
    Case(
        "an upgrade to h2c",
        healthz(
            ("Upgrade", "h2c"),
            ("Connection", "Upgrade, HTTP2-Settings"),
            ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
        ),
        (OK, BAD),
    ),
    Case("an upgrade to two things", opening(upgrade="h2c, websocket"), (BAD, Http(426))),
    Case("a body that is not JSON", sign_in(length(5), body=b"{{{{{"), (BAD, Http(422))),
    Case(
        "a body of brackets",
        sign_in(length(200_000), body=b"[" * 200_000),
        (BAD, Http(413), Http(422)),
    ),
    Case(
        "a body that is no UTF-8",
        sign_in(length(14), body=b'{"sub":"\xff\xfe\xff"} '),
        (BAD, Http(422)),
    ),
    Case(
        "a body with a lone surrogate",
        sign_in(length(16), body=b'{"sub":"\\ud800"}'),
        (BAD, Http(422)),
    ),
    Case(
        "a body with NUL",
        sign_in(length(16), body=b'{"sub":"\\u0000"}'),
        (BAD, Http(422)),
    ),
    Case(
        "a body with a line in its name",
        sign_in(length(16), body=b'{"sub":"a\\r\\nb"}'),
        (BAD, Http(422)),
    ),
    Case(
        "a body with an endless number",
        sign_in(length(5008), body=b'{"sub":' + b"9" * 5000 + b"}"),
        (BAD, Http(422)),
    ),
    Case(
        "a body of another type",
        request(
            "POST /dev/token HTTP/1.1", (LOCAL, ("Content-Type", "text/plain"), length(13)), SIGN_IN
        ),
        (BAD, Http(415), Http(422)),
    ),
]

_KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="

HANDSHAKES: Final = [
    Case("a good one", opening(), Welcome()),
    Case("Connection in small letters", opening(connection="upgrade"), Welcome()),
    Case("Connection with keep-alive", opening(connection="keep-alive, Upgrade"), Welcome()),
    Case("Upgrade in other letters", opening(upgrade="WebSocket"), Welcome()),
    Case(
        "two Connection headers",
        opening(connection="keep-alive", extra=[("Connection", "Upgrade")]),
        Welcome(),
    ),
    Case("no Connection", opening(connection=None), (BAD, Http(426))),
    Case("Connection that does not say upgrade", opening(connection="close"), (BAD, Http(426))),
    Case("no Upgrade", opening(upgrade=None), (BAD, Http(426))),
    Case("an empty Upgrade", opening(upgrade=""), (BAD, Http(426))),
    Case("Upgrade twice", opening(extra=[("Upgrade", "websocket")]), (BAD, Http(426))),
    Case("no key", opening(sec_websocket_key=None), BAD),
    Case("an empty key", opening(sec_websocket_key=""), BAD),
    Case("a key of 15 bytes", opening(sec_websocket_key="AAAAAAAAAAAAAAAAAAAA"), BAD),
    Case("a key of 17 bytes", opening(sec_websocket_key="AAAAAAAAAAAAAAAAAAAAAAA="), BAD),
    Case("a key that is not base64", opening(sec_websocket_key="!" * 24), BAD),
    Case("a key beyond ASCII", opening(sec_websocket_key="\xe9" * 24), BAD),
    Case("two keys", opening(extra=[("Sec-WebSocket-Key", _KEY)]), BAD),
    Case("no version", opening(sec_websocket_version=None), (BAD, Http(426))),
    Case("version 12", opening(sec_websocket_version="12"), (BAD, Http(426))),
    Case("version 013", opening(sec_websocket_version="013"), (BAD, Http(426))),
    Case("version 8 and 13", opening(sec_websocket_version="8, 13"), (BAD, Http(426))),
    Case("two versions", opening(extra=[("Sec-WebSocket-Version", "13")]), (BAD, Http(426))),
    Case(
        "no Host",
        opening(host=None),
        BAD,
    ),
    Case(
        "two Hosts",
        opening(extra=[("Host", "y")]),
        BAD,
    ),
    Case("POST", opening(line="POST /ws HTTP/1.1"), (BAD, Http(405))),
    Case("HEAD", opening(line="HEAD /ws HTTP/1.1"), (BAD, Http(405))),
    Case(
        "HTTP/1.0",
        opening(line="GET /ws HTTP/1.0"),
        (BAD, Http(426)),
    ),
    Case(
        "a body of a known length",
        lambda t: handshake(t.token(), extra=[length(5)]) + b"hello",
        BAD,
    ),
    Case(
        "a body in chunks",
        lambda t: handshake(t.token(), extra=[CHUNKED]) + END,
        BAD,
    ),
    Case("a body of no length", opening(extra=[length(0)]), (BAD, Welcome())),
    Case("length and chunks", opening(extra=[length(5), CHUNKED]), BAD),
    Case("another path", opening(target="/elsewhere"), Http(404, "not_found")),
    Case("the path with a slash behind", opening(target="/ws/"), Http(404)),
    Case("the path with two slashes", opening(target="//ws"), Http(404)),
    Case(
        "a host before the path",
        opening(target="//evil/ws"),
        (BAD, Http(404)),
    ),
    Case(
        "a bracket before the path",
        opening(target="//[/ws"),
        (BAD, Http(404)),
    ),
    Case("a whole URL", opening(target="http://x/ws"), (BAD, Http(404), Welcome())),
    Case(
        "a whole URL that is none",
        opening(target="http://[x/ws"),
        (BAD, Http(404)),
    ),
    Case(
        "a whole URL of another host",
        opening(target="http://evil.example/ws"),
        (BAD, Http(404), Welcome()),
    ),
    Case("the path in escapes", opening(target="/%77s"), Http(404)),
    Case("the path in large letters", opening(target="/WS"), Http(404)),
    Case("the path with dots", opening(target="/x/../ws"), Http(404)),
    Case("the path with a parameter", opening(target="/ws;x=y"), Http(404)),
    Case("the path with a NUL", opening(target="/ws%00"), Http(404)),
    Case("the path with a fragment", opening(target="/ws#x"), (BAD, Http(404), Welcome())),
    Case("query junk", opening(target="/ws?x=y&&=&%zz&a=1&a=2"), Welcome()),
    Case(
        "a query of 12 KiB",
        opening(target="/ws?x=" + "y" * 12_000),
        (Welcome(), Http(414), Http(431)),
    ),
    Case("a query of a thousand fields", opening(target="/ws?" + "a&" * 1000), Welcome()),
    Case("after without epoch", opening(target="/ws?after=1"), BAD),
    Case("epoch without after", opening(target="/ws?epoch=x"), BAD),
    Case("after twice", opening(target="/ws?after=1&after=1&epoch=x"), BAD),
    Case("epoch twice", opening(target="/ws?after=1&epoch=x&epoch=x"), BAD),
    Case("after that is negative", opening(target="/ws?after=-1&epoch=x"), BAD),
    Case("after with a plus", opening(target="/ws?after=%2B1&epoch=x"), BAD),
    Case("after that is a float", opening(target="/ws?after=1.0&epoch=x"), BAD),
    Case("after with an exponent", opening(target="/ws?after=1e2&epoch=x"), BAD),
    Case("after that is empty", opening(target="/ws?after=&epoch=x"), BAD),
    Case("after beyond all numbers", opening(target="/ws?after=" + "9" * 5000 + "&epoch=x"), BAD),
    Case("after in other digits", opening(target="/ws?after=%D9%A1&epoch=x"), BAD),
    Case("after beyond 64 bits", opening(target=f"/ws?after={2**63}&epoch=x"), (BAD, Welcome())),
    Case("a header of 17 KiB", opening(extra=[("X", "y" * 17_000)]), Http(431)),
    Case(
        "headers of 33 KiB", opening(extra=[(f"X-{n}", "y" * 1000) for n in range(33)]), Http(431)
    ),
    Case(
        "headers of 12 KiB in one",
        opening(extra=[("X", "y" * 12_000)]),
        Welcome(),
    ),
    Case("200 headers", opening(extra=[("X", "y")] * 200), (Welcome(), Http(431))),
    Case("a header beyond ASCII", opening(extra=[("X", "\xe9\xff")]), Welcome()),
    Case(
        "extensions that are none",
        opening(extra=[("Sec-WebSocket-Extensions", ";;==,")]),
        (BAD, Welcome()),
    ),
    Case(
        "subprotocols that are none",
        opening(extra=[("Sec-WebSocket-Protocol", "a b, ,;\xe9")]),
        (BAD, Welcome(), Http(401)),
    ),
    Case(
        "an old subprotocol",
        lambda t: handshake(
            extra=[("Sec-WebSocket-Protocol", f"jwt-auth, {in_subprotocol(t.token())}")]
        ),
        Welcome("jwt-auth"),
    ),
    Case(
        "a good subprotocol",
        lambda t: handshake(
            extra=[("Sec-WebSocket-Protocol", f"{in_subprotocol(t.token())}, apex.v1")]
        ),
        Welcome("apex.v1"),
    ),
    Case("half a handshake, then the end", b"GET /ws HTTP/1.1\r\nHost: x\r\n", Cut()),
]
