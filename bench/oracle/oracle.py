#!/usr/bin/env python3
"""Asks an IMAP server and an independent reading of the same mail the same questions.

The messages are read from the server once, parsed with Python's own `email`
package, decoded, folded and searched here, by code that shares nothing with the
server; then seeded random queries are drawn from their text and sent as UID
SEARCH. Every difference is printed as one line of JSON. docs/search.md judges
those that remain.

usage: oracle.py --port N --user U --password P [--mailbox M] [--queries N]
                 [--seed N] [--judged FILE]

Exit status: 0 when every difference is on a message that the judged file
names, 1 otherwise.
"""
import argparse
import base64
import codecs
import email
import email.errors
import email.policy
import email.utils
import hashlib
import html.parser
import imaplib
import json
import random
import re
import sys
import unicodedata

imaplib._MAXLINE = 100_000_000

# ---------------------------------------------------------------- the fold

FOLDED = {}


def fold_char(c):
    """RFC 5051: simple titlecase, then decomposition of any kind, recursively."""
    t = c.title()
    if len(t) != 1:
        t = c  # only simple case mappings count
    return decompose(t)


def decompose(c):
    d = unicodedata.decomposition(c)
    if not d:
        return c
    return "".join(decompose(chr(int(x, 16))) for x in d.split() if not x.startswith("<"))


SPACES = re.compile(r"[\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")


def fold(s):
    out = []
    for c in s:
        f = FOLDED.get(c)
        if f is None:
            f = FOLDED[c] = fold_char(c)
        out.append(f)
    return SPACES.sub(" ", "".join(out))


# ---------------------------------------------------------------- decoding

CHARSETS = {
    "cp932": "cp932", "ms932": "cp932", "x-sjis": "cp932", "shift-jis": "cp932", "shift_jis": "cp932", "sjis": "cp932",
    "ks_c_5601-1987": "cp949", "ms949": "cp949", "uhc": "cp949", "euc-kr": "cp949",
    "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030",
    "unicode-1-1-utf-7": "utf-7", "iso-8859-8-i": "iso-8859-8", "iso-8859-1": "cp1252", "latin1": "cp1252",
    "us-ascii": "ascii", "iso-8859-9": "cp1254", "tis-620": "cp874", "iso-8859-11": "cp874",
}


# What Windows-1252 leaves undefined means the control characters of those numbers.
WINDOWS = "".join(chr(b) if b in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else bytes([b]).decode("cp1252") for b in range(256))
codecs.register_error("windows", lambda e: ("".join(WINDOWS[b] for b in e.object[e.start:e.end]), e.end))
UTF8 = {"", "utf-8", "utf8", "us-ascii", "ascii"}
ONE_OCTET = re.compile(r"cp125\d|iso-?8859|koi8|cp8\d\d|mac|tis|latin|cp437")


def to_text(data, charset):
    """Octets in a declared charset, by the rules of docs/search.md."""
    name = (charset or "").strip().strip("\"'").lower()
    name = CHARSETS.get(name, name)
    if name not in UTF8:
        try:
            codec = codecs.lookup(name).name
            if not isinstance(data.decode(codec, "replace"), str):
                raise LookupError
        except (LookupError, UnicodeError, ValueError, TypeError):
            return data.decode("utf-8", "windows")
        if ONE_OCTET.match(codec):
            return data.decode(codec, "windows")
        s = data.decode(codec, "replace")
        if "\ufffd" in s:
            try:
                return data.decode("utf-8")
            except UnicodeError:
                pass
        return s
    return data.decode("utf-8", "windows")


ENCODED = re.compile(r"=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bBqQ])\?((?:(?!=\?|\?=).)*)\?=", re.S)


def word_octets(encoding, s):
    s = s.encode("latin-1", "replace")
    if encoding in "qQ":
        return re.sub(rb"=([0-9A-Fa-f]{2})", lambda m: bytes([int(m.group(1), 16)]), s.replace(b"_", b" "))
    s = re.sub(rb"[^A-Za-z0-9+/]", b"", s)
    return base64.b64decode(s[:len(s) - (len(s) % 4 == 1)] + b"=" * (-len(s) % 4))


def header_text(value):
    """A header's value, unfolded and decoded (RFC 2047, and what is found in the wild)."""
    raw = str(value).encode("utf-8", "surrogateescape") if not isinstance(value, bytes) else value
    raw = re.sub(rb"\r?\n(?=[ \t])", b"", raw).decode("latin-1")
    out, at, word = [], 0, None  # word: charset and octets of the encoded words before
    for m in ENCODED.finditer(raw):
        between = raw[at:m.start()]
        charset, octets = m.group(1).lower(), word_octets(m.group(2), m.group(3))
        if word and not between.strip(" \t\r\n"):
            if word[0] == charset:
                word = (charset, word[1] + octets)
            else:
                out.append(to_text(word[1], word[0]))
                word = (charset, octets)
        else:
            if word:
                out.append(to_text(word[1], word[0]))
            out.append(to_text(between.encode("latin-1"), ""))
            word = (charset, octets)
        at = m.end()
    if word:
        out.append(to_text(word[1], word[0]))
    out.append(to_text(raw[at:].encode("latin-1"), ""))
    return "".join(out)


class Reader(html.parser.HTMLParser):
    """The text that a reader of HTML sees, with the texts that stand for pictures."""

    BLOCK = set("address article aside blockquote body br button caption center col colgroup dd details dialog dir div dl dt fieldset "
                "figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html iframe input legend li listing "
                "main menu nav noframes noscript object ol optgroup option p plaintext pre search section select summary table tbody td "
                "textarea tfoot th thead title tr ul xmp".split())
    HIDDEN = {"script", "style", "title", "iframe", "noembed", "noframes"}

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.out, self.hidden = [], None

    def handle_starttag(self, tag, attrs):
        if self.hidden:
            return
        if tag in self.HIDDEN:
            self.hidden = tag
        if tag in self.BLOCK:
            self.out.append(" ")
        if tag in ("img", "area", "input"):
            self.out += [" " + v + " " for n, v in attrs if n == "alt" and v]

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        if self.hidden and tag != self.hidden:
            return
        self.hidden = None
        if tag in self.BLOCK:
            self.out.append(" ")

    def handle_data(self, data):
        if not self.hidden:
            self.out.append(data)


def html_text(s):
    r = Reader()
    r.feed(s)
    r.close()
    return "".join(r.out).replace("\xad", "")


# ---------------------------------------------------------------- a message

class Message:
    def __init__(self, uid, raw):
        self.uid, self.raw, self.size = uid, raw, len(raw)
        self.sha = hashlib.sha256(raw).hexdigest()
        msg = email.message_from_bytes(raw, policy=email.policy.compat32)
        self.headers = self.lines(msg)
        self.headers = [(n.lower(), line) for n, line in self.headers]
        self.bodies = []
        self.walk(msg, False)
        self.bodies = [b for b in self.bodies if b]

    def lines(self, part):
        return [(n, fold(n + ": " + header_text(v).strip())) for n, v in part.raw_items()]

    def walk(self, part, in_multipart):
        kind = part.get_content_type()
        names = []
        for name in (part.get_param("filename", None, "content-disposition"), part.get_param("name")):
            if name:
                if isinstance(name, tuple):
                    name = to_text(name[2].encode("latin-1", "surrogateescape"), name[0]) if name[0] else name[2]
                name = header_text(name)
                if name not in names:
                    names.append(name)
        self.bodies += [fold(n) for n in names]
        if in_multipart and (d := part.get("content-description")):
            self.bodies.append(fold(header_text(d)))
        if kind in ("message/rfc822", "message/global") and part.is_multipart():
            for inner in part.get_payload():
                self.bodies += [line for _, line in self.lines(inner)]
                self.walk(inner, False)
        elif part.get_content_maintype() == "message" and part.is_multipart():
            # Python takes delivery reports apart; they are text.
            self.bodies.append(fold("\n".join(str(inner) for inner in part.get_payload())))
        elif part.is_multipart():
            for inner in part.get_payload():
                self.walk(inner, True)
        elif part.get_content_maintype() in ("text", "message", "multipart") or kind == "application/xhtml+xml":
            data = part.get_payload(decode=True) or b""
            s = to_text(data, part.get_content_charset())
            if kind in ("text/html", "application/xhtml+xml"):
                s = html_text(s)
            self.bodies.append(fold(s))

    def values(self, name):
        for n, line in self.headers:
            if n == name:
                yield line.partition(":")[2].removeprefix(" ")

    def body(self, key):
        return any(key in b for b in self.bodies)

    def text(self, key):
        return any(key in line for _, line in self.headers) or self.body(key)

    def header(self, name, key):
        return any(key in v for v in self.values(name))


# ---------------------------------------------------------------- queries

class Query:
    """A tree of keys: its IMAP form, and what it means here."""

    def __init__(self, imap, match):
        self.imap, self.match = imap, match  # imap: list of str (atoms) and bytes (literals)


def leaf(kind, key):
    k = fold(key)
    if kind == "BODY":
        return Query(["BODY", key.encode()], lambda m: k == "" or m.body(k))
    if kind == "TEXT":
        return Query(["TEXT", key.encode()], lambda m: k == "" or m.text(k))
    if kind in ("FROM", "TO", "CC", "BCC", "SUBJECT"):
        return Query([kind, key.encode()], lambda m: m.header(kind.lower(), k))
    return Query(["HEADER", kind.encode(), key.encode()], lambda m: m.header(kind.lower(), k))


WORD = re.compile(r"\w+")


def pick(rng, s):
    """A key drawn from a text: a word, an inside of one, or a stretch across separators."""
    words = [w for w in WORD.finditer(s) if len(w.group()) < 200]
    if not words:
        return None, ""
    w = rng.choice(words)
    form = rng.random()
    if form < 0.40:
        return w.group(), "word"
    if form < 0.70:
        a = rng.randrange(len(w.group()))
        b = rng.randrange(a, len(w.group())) + 1
        return w.group()[a:b], "inside"
    a = rng.randrange(w.start(), w.end())
    b = min(len(s), a + rng.randrange(3, 40))
    return s[a:b], "across"


def scramble(rng, key):
    i = rng.randrange(len(key) + 1)
    return key[:i] + rng.choice("qxzjkvw") + key[i:]


def draw_leaf(rng, messages, stats):
    m = rng.choice(messages)
    kind = rng.choices(["BODY", "TEXT", "SUBJECT", "FROM", "TO", "CC", "HEADER"], [35, 25, 10, 8, 8, 4, 10])[0]
    if kind == "BODY":
        source = rng.choice(m.bodies) if m.bodies else ""
    elif kind == "TEXT":
        source = rng.choice(m.bodies + [line for _, line in m.headers]) if m.bodies or m.headers else ""
    elif kind == "HEADER":
        if not m.headers:
            return leaf("BODY", "")
        kind, line = rng.choice(m.headers)
        source = line.partition(":")[2].removeprefix(" ")
        if not re.fullmatch(r"[!-9;-~]+", kind) or rng.random() < 0.1:
            return leaf("SUBJECT", "")
    else:
        vals = list(m.values(kind.lower()))
        source = rng.choice(vals) if vals else ""
    key, form = pick(rng, source)
    if key is None or "\x00" in key:
        return leaf(kind, "")
    if rng.random() < 0.25:
        key = scramble(rng, key)
        form = "scrambled"
    stats[form] = stats.get(form, 0) + 1
    if rng.random() < 0.5:
        key = key.lower() if fold(key.lower()) == fold(key) else key
    return leaf(kind, key)


def draw(rng, messages, stats, depth=0):
    form = rng.random()
    if depth < 3 and form < 0.08:
        q = draw(rng, messages, stats, depth + 1)
        return Query(["NOT", "("] + q.imap + [")"], lambda m: not q.match(m))
    if depth < 3 and form < 0.16:
        a, b = draw(rng, messages, stats, depth + 1), draw(rng, messages, stats, depth + 1)
        return Query(["OR", "("] + a.imap + [")", "("] + b.imap + [")"], lambda m: a.match(m) or b.match(m))
    if depth < 3 and form < 0.26:
        a, b = draw(rng, messages, stats, depth + 1), draw(rng, messages, stats, depth + 1)
        return Query(["("] + a.imap + b.imap + [")"], lambda m: a.match(m) and b.match(m))
    if form < 0.30:
        n = rng.choice(messages).size
        return Query(["LARGER", str(n)], lambda m: m.size > n)
    if form < 0.33:
        n = rng.choice(messages).size
        return Query(["SMALLER", str(n)], lambda m: m.size < n)
    return draw_leaf(rng, messages, stats)


# ---------------------------------------------------------------- the server

def render(parts):
    """One command as bytes with non-synchronising literals, or None where it cannot be said."""
    out = b""
    for p in parts:
        if out and not out.endswith(b"(") and p != ")":
            out += b" "
        if isinstance(p, bytes):
            out += b"{%d+}\r\n" % len(p) + p
        else:
            out += p.encode()
    return out


def search(imap, query):
    tag = imap._new_tag()
    imap.send(tag + b" UID SEARCH CHARSET UTF-8 " + render(query.imap) + b"\r\n")
    found = set()
    while True:
        line = imap.readline().rstrip(b"\r\n")
        if line.startswith(b"* SEARCH"):
            found.update(int(x) for x in line.split()[2:] if x.isdigit())
        elif line.startswith(tag):
            return found, line[len(tag) + 1:]


def fetch_all(imap):
    messages = []
    ok, data = imap.uid("SEARCH", "ALL")
    uids = data[0].split()
    for i in range(0, len(uids), 200):
        ok, data = imap.uid("FETCH", b",".join(uids[i:i + 200]).decode(), "(UID BODY.PEEK[])")
        for item in data:
            if isinstance(item, tuple):
                uid = int(re.search(rb"UID (\d+)", item[0]).group(1))
                messages.append(Message(uid, item[1]))
    return messages


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--port", type=int, required=True)
    p.add_argument("--user", required=True)
    p.add_argument("--password", required=True)
    p.add_argument("--mailbox", default="INBOX")
    p.add_argument("--queries", type=int, default=2000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--judged", help="lines: SHA-256 prefix of a message, reason")
    a = p.parse_args()

    judged = {}
    if a.judged:
        for line in open(a.judged):
            if line.strip() and not line.startswith("#"):
                sha, _, why = line.strip().partition(" ")
                judged[sha] = why
    imap = imaplib.IMAP4("127.0.0.1", a.port)
    imap.login(a.user, a.password)
    imap.select('"%s"' % a.mailbox, readonly=True)
    messages = fetch_all(imap)
    by_uid = {m.uid: m for m in messages}
    rng = random.Random(a.seed)
    stats, hits, differ, known, bad = {}, 0, 0, 0, set()
    for i in range(a.queries):
        q = draw(rng, messages, stats)
        got, status = search(imap, q)
        want = {m.uid for m in messages if q.match(m)}
        hits += bool(want)
        if not status.startswith(b"OK"):
            differ += 1
            print(json.dumps({"query": render(q.imap).decode("utf-8", "replace"), "status": status.decode("utf-8", "replace")}))
            continue
        for uid in sorted(got ^ want):
            m = by_uid.get(uid)
            sha = m.sha[:16] if m else "?"
            if sha in judged:
                known += 1
                continue
            differ += 1
            bad.add(sha)
            print(json.dumps({"query": render(q.imap).decode("utf-8", "replace"), "uid": uid, "message": sha,
                              "found by": "server" if uid in got else "oracle"}))
    print("proof: %d queries over %d messages, %d with hits, keys %s: %d differences on %d messages, %d judged" %
          (a.queries, len(messages), hits, json.dumps(stats), differ, len(bad), known))
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
