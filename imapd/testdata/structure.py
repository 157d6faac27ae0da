"""Compares BODYSTRUCTURE and ENVELOPE with what Python's email package makes of the message.

Reads lines "name raw response" (raw and response in base64, response as the server sent it) and writes a
line for each difference: "name: where: field: server's: email's". It shares no code with the server.
"""
import base64
import email
import email.header
import email.policy
import email.utils
import hashlib
import re
import sys
from urllib.parse import unquote_to_bytes


def parse(data):
    """The values in an IMAP response: None, int, bytes and lists."""
    at = 0

    def value():
        nonlocal at
        c = data[at:at + 1]
        if c == b"(":
            at += 1
            out = []
            while data[at:at + 1] != b")":
                if data[at:at + 1] == b" ":
                    at += 1
                    continue
                out.append(value())
            at += 1
            return out
        if c == b'"':
            at += 1
            out = b""
            while data[at:at + 1] != b'"':
                if data[at:at + 1] == b"\\":
                    at += 1
                out += data[at:at + 1]
                at += 1
            at += 1
            return out
        if c == b"{":
            end = data.index(b"}\r\n", at)
            size = int(data[at + 1:end])
            at = end + 3 + size
            return data[end + 3:at]
        m = re.compile(rb"[^ ()]+").match(data, at)
        at = m.end()
        word = m.group()
        if word == b"NIL":
            return None
        return int(word) if word.isdigit() else word

    return value()


def octets(text):
    """The octets that email's parser read as text."""
    return str(text).encode("utf-8", "surrogateescape") if text is not None else b""


def unfolded(value):
    return re.sub(rb"\s+", b" ", value).strip()


def field(msg, name):
    for key, value in msg._headers:
        if key.lower() == name:
            return unfolded(octets(value))
    return None


def words(data):
    """Text with its encoded words decoded, for comparison."""
    text = data.decode("utf-8", "replace")
    try:
        text = str(email.header.make_header(email.header.decode_header(text)))
    except Exception:
        pass
    return re.sub(r"\s+", " ", text).strip()


def addresses(msg, name):
    """(display name, local part, domain) of a field; groups as IMAP has them."""
    out = []
    for key, value in msg._headers:
        if key.lower() != name:
            continue
        text = unfolded(octets(value)).decode("utf-8", "replace")
        parsed, _ = email._header_value_parser.get_address_list(text)
        for address in parsed.addresses:
            if address.value is None if hasattr(address, "value") else False:
                continue
            group = address[0].token_type == "group"
            if group:
                out.append((None, address.display_name or "", None))
            for box in address.mailboxes:
                out.append((box.display_name or "", box.local_part or "", box.domain or ""))
            if group:
                out.append((None, None, None))
    return out


class AsWritten(email.policy.Compat32):
    """Gives header values as the message has them, octets above 127 included."""

    def header_fetch_parse(self, name, value):
        return value


class Comparison:
    def __init__(self, name):
        self.name, self.lines = name, []

    def differ(self, where, what, server, theirs):
        self.lines.append("%s: %s: %s: %r: %r" % (self.name, where or "message", what, server, theirs))

    def same(self, where, what, server, theirs):
        if server != theirs:
            self.differ(where, what, server, theirs)

    def envelope(self, where, got, msg):
        for i, name in ((0, "date"), (1, "subject"), (8, "in-reply-to"), (9, "message-id")):
            want = field(msg, name)
            self.same(where, name, unfolded(got[i]) if got[i] is not None else None, want)
        for i, name in ((2, "from"), (3, "sender"), (4, "reply-to"), (5, "to"), (6, "cc"), (7, "bcc")):
            try:
                want = addresses(msg, name)
                if field(msg, name) is None and name in ("sender", "reply-to"):
                    want = addresses(msg, "from")
            except Exception as e:  # email's own parser fails on some
                continue
            have = []
            for personal, route, box, host in got[i] or []:
                text = lambda v: None if v is None else words(v)
                if host is None:
                    have.append((None, text(box), None))
                else:
                    have.append((text(personal) or "", text(box), text(host)))
            want = [tuple(None if v is None else re.sub(r"\s+", " ", v).strip() for v in a) for a in want]
            # An address without a domain is none to email's parser; a name in a comment is no name.
            have = [a for a in have if a[2] != "" or a in want]
            text = field(msg, name) or field(msg, "from") or b""
            if b"(" in text and len(have) == len(want):
                have = [("",) + a[1:] if w[0] == "" else a for a, w in zip(have, want)]
            self.same(where, name, have, want)

    def params(self, where, what, got, header, msg):
        have = {}
        it = iter(got or [])
        for key in it:
            name, value = key.lower(), next(it)
            if name.endswith(b"*"):
                charset, _, rest = value.partition(b"'")
                name, value = name[:-1], unquote_to_bytes(rest.partition(b"'")[2])
            have.setdefault(name.decode(), unfolded(value))
        want = {}
        for key, value in (msg.get_params(header=header) or [])[1:]:
            if isinstance(value, tuple):
                value = value[2]
                data = value.encode("latin-1", "surrogateescape") if all(ord(c) < 256 or 0xdc80 <= ord(c) <= 0xdcff for c in value) else value.encode("utf-8", "surrogateescape")
            else:
                data = octets(value)
            if key:
                want.setdefault(key.lower(), unfolded(data))
        self.same(where, what, have, want)

    def extension(self, where, got, msg):
        """From disposition on."""
        got = (got + [None] * 3)[:3]
        want = (msg.get_content_disposition() or "").encode() or None
        have = got[0][0].lower() if got[0] else None
        self.same(where, "disposition", have, want)
        if have and want:
            self.params(where, "disposition's parameters", got[0][1], "content-disposition", msg)
        language = got[1] if isinstance(got[1], list) else [got[1]] if got[1] else []
        wanted = [t.strip() for t in (field(msg, "content-language") or b"").split(b",") if t.strip()]
        self.same(where, "language", language, wanted)
        self.same(where, "location", got[2], re.sub(rb"\s", b"", field(msg, "content-location") or b"") or None)

    def part(self, where, got, msg):
        kind = msg.get_content_type()
        inner = msg.get_payload() if isinstance(msg.get_payload(), list) else None
        if isinstance(got[0], list):
            children = [g for g in got if isinstance(g, list)]
            children = got[:next(i for i, g in enumerate(got) if not isinstance(g, list))]
            if msg.get_content_maintype() != "multipart" or not inner:
                return self.differ(where, "type", "a multipart of %d" % len(children), kind)
            rest = got[len(children):]
            self.same(where, "type", b"multipart/" + rest[0].lower(), kind.encode())
            self.params(where, "parameters", rest[1], "content-type", msg)
            self.extension(where, rest[2:], msg)
            if len(children) != len(inner):
                return self.differ(where, "parts", len(children), len(inner))
            for i, (g, m) in enumerate(zip(children, inner)):
                self.part(where + "." * bool(where) + str(i + 1), g, m)
            return
        if msg.get_content_maintype() == "multipart" and not inner:
            kind = "text/plain"  # the grammar has no multipart without a part
        server = (got[0] + b"/" + got[1]).lower().decode("latin-1")
        self.same(where, "type", server, kind)
        if server != kind:
            return
        if msg.get_content_maintype() != "multipart":
            self.params(where, "parameters", got[2], "content-type", msg)
        self.same(where, "id", got[3], field(msg, "content-id"))
        self.same(where, "description", unfolded(got[4]) if got[4] else None, field(msg, "content-description") or None)
        encoding = (field(msg, "content-transfer-encoding") or b"7bit").lower() or b"7bit"
        self.same(where, "encoding", got[5].lower(), encoding)
        rest = got[7:]
        if kind in ("message/rfc822", "message/global") and rest and isinstance(rest[0], list):
            self.envelope(where, rest[0], inner[0])
            self.part(where + ".m", rest[1], inner[0])
            rest = rest[3:]
        elif server.startswith("text/"):
            body = octets(msg._payload)
            self.same(where, "lines", rest[0], body.count(b"\n"))
            rest = rest[1:]
        if not isinstance(msg.get_payload(), list):
            self.same(where, "size", got[6], len(octets(msg._payload)))
        md5 = rest[0] if rest else None
        self.same(where, "MD5", md5, field(msg, "content-md5") or None)
        self.extension(where, rest[1:], msg)


def main():
    for line in sys.stdin:
        name, raw, response = line.split()
        raw, response = base64.b64decode(raw), base64.b64decode(response)
        items = parse(response[response.index(b"("):])
        found = dict(zip(items[::2], items[1::2]))
        msg = email.message_from_bytes(raw, policy=AsWritten())
        c = Comparison(name)
        c.envelope("", found[b"ENVELOPE"], msg)
        c.part("", found[b"BODYSTRUCTURE"], msg)
        for difference in c.lines:
            print(difference.encode("ascii", "backslashreplace").decode())


if __name__ == "__main__":
    main()
