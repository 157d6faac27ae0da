#!/usr/bin/env python3
"""Asks an IMAP server and two independent readings of the same mail the same questions.

The messages are read from the server once and taken apart by mail.py, by the
written rules and by Python's own parsers. Flags are set at random. Then seeded
random queries are drawn from the text and the data of the messages, sent as UID
SEARCH, and answered here by looking into every message. Every difference is
printed as one line of JSON.

usage: oracle.py --port N --user U --password P [--mailbox M] [--queries N]
                 [--seed N] [--judged FILE]

Exit status: 0 when the server agrees with the rules, but for messages that the
judged file gives as "charset", and with Python's parsers but for those that it
names at all, and none of those is read alike by both; 1 otherwise.
"""
import argparse
import collections
import datetime
import hashlib
import imaplib
import json
import random
import re
import sys
import unicodedata

import mail

imaplib._MAXLINE = 100_000_000

# ---------------------------------------------------------------- messages

FLAGS = ["\\Seen", "\\Flagged", "\\Answered", "\\Deleted", "\\Draft", "$Forwarded", "oracle"]
FOREIGN = re.compile("[\u0370-\u1fff\u3040-\ud7af]")  # letters of scripts other than Latin
UNIT = "\0"  # stands between units: no key may hold it


class Reading:
    """The units of a message in two strings, each unit with UNIT before it."""

    def __init__(self, source):
        self.head = "".join(UNIT + line for _, line in source.headers)
        self.body = "".join(UNIT + text.replace(UNIT, "\ufffe") for text in source.bodies)
        self.sent = source.sent

    def __eq__(self, other):
        same = sorted(self.body.split(UNIT)) == sorted(other.body.split(UNIT))
        return same and self.head == other.head and self.sent == other.sent

    def values(self, name):
        for line in self.head.split(UNIT)[1:]:
            n, _, value = line.partition(":")
            if n == name:
                yield value.removeprefix(" ")

    def has(self, name, key):
        """HEADER name key; name is folded."""
        if key == "":
            return UNIT + name + ":" in self.head
        return key in self.head and any(key in value for value in self.values(name))

    def in_body(self, key):
        return key == "" or key in self.body

    def in_text(self, key):
        return key == "" or key in self.head or key in self.body

    def foreign(self):
        return bool(FOREIGN.search(self.head) or FOREIGN.search(self.body))


class Message:
    def __init__(self, uid, flags, received, raw):
        self.uid, self.flags, self.received, self.size = uid, flags, received, len(raw)
        self.sha = hashlib.sha256(raw).hexdigest()[:16]
        self.rules, self.library = Reading(mail.Rules(raw)), Reading(mail.Library(raw))
        if self.library == self.rules:
            self.library = self.rules

    def disputed(self):
        return self.library is not self.rules


# ---------------------------------------------------------------- queries

class Query:
    """A tree of keys: its IMAP form, and what it means for a message and a reading of it."""

    def __init__(self, imap, match):
        self.imap, self.match = imap, match  # imap: list of str (atoms) and bytes (strings)


def text_query(rng, kind, key):
    folded = mail.fold(key)
    if kind == "BODY":
        return Query(["BODY", key.encode()], lambda m, r: r.in_body(folded))
    if kind == "TEXT":
        return Query(["TEXT", key.encode()], lambda m, r: r.in_text(folded))
    name = mail.fold(kind)
    if kind in ("FROM", "TO", "CC", "BCC", "SUBJECT"):
        return Query([kind, key.encode()], lambda m, r: r.has(name, folded))
    written = rng.choice([kind, kind.lower(), kind.title()])
    return Query(["HEADER", written.encode(), key.encode()], lambda m, r: r.has(name, folded))


WORD = re.compile(r"\w+")
SYMBOLS = re.compile(r"\w{0,3}[^\w\s\0]+\w{0,3}")


def pick(rng, s, foreign):
    """A key drawn from a text: a word, an inside of one, a stretch across separators, or symbols."""
    words = list(WORD.finditer(s))
    if foreign:
        words = [m for m in words if FOREIGN.search(m.group())] or words
    if not words:
        return "", "empty"
    form = rng.choices(["word", "inside", "across", "long", "symbols"], [28, 30, 28, 3, 11])[0]
    w = rng.choice(words)
    if form == "symbols" and (found := SYMBOLS.findall(s)):
        return rng.choice(found)[:100], form
    if form in ("across", "long"):
        begin = rng.randrange(w.start(), w.end())
        key = s[begin:begin + (rng.randrange(3, 40) if form == "across" else rng.randrange(40, 400))]
        return key, form if WORD.fullmatch(key) is None else "inside"
    if form == "inside" and len(w.group()) > 2:
        begin = rng.randrange(1, len(w.group()))
        return w.group()[begin:rng.randrange(begin, len(w.group())) + 1][:100], form
    return w.group()[:200], "word"


def scramble(rng, key):
    i = rng.randrange(len(key) + 1)
    return key[:i] + rng.choice("qxzjkvw") + key[i:]


def rewritten(rng, key):
    """The key in small letters or composed, where that means the same."""
    other = rng.choice([key, key.lower(), unicodedata.normalize("NFC", key)])
    return other if mail.fold(other) == mail.fold(key) else key


def script(key):
    """The script of a key's first letter that is not Latin, by its Unicode name."""
    for c in key:
        if c.isalpha() and not (name := unicodedata.name(c, "?")).startswith("LATIN"):
            return name.split()[0].lower()
    return "latin"


class Generator:
    def __init__(self, rng, messages):
        self.rng, self.messages = rng, messages
        self.foreign = [m for m in messages if m.rules.foreign()] or messages
        self.kinds, self.forms, self.scripts = (collections.Counter() for _ in range(3))

    def any(self):
        return self.rng.choice(self.messages)

    def draw(self, depth=0):
        form = self.rng.random()
        if depth < 3 and form < 0.08:
            q = self.draw(depth + 1)
            return Query(["NOT", "("] + q.imap + [")"], lambda m, r: not q.match(m, r))
        if depth < 3 and form < 0.16:
            a, b = self.draw(depth + 1), self.draw(depth + 1)
            return Query(["OR", "("] + a.imap + [")", "("] + b.imap + [")"], lambda m, r: a.match(m, r) or b.match(m, r))
        if depth < 3 and form < 0.26:
            a, b = self.draw(depth + 1), self.draw(depth + 1)
            return Query(["("] + a.imap + b.imap + [")"], lambda m, r: a.match(m, r) and b.match(m, r))
        if form < 0.38:
            kind, q = self.rng.choice([self.by_size, self.by_flag, self.by_received, self.by_sent])()
        else:
            kind, q = self.by_text()
        self.kinds[kind] += 1
        return q

    def by_size(self):
        n = self.any().size
        if self.rng.random() < 0.5:
            return "size", Query(["LARGER", str(n)], lambda m, r: m.size > n)
        return "size", Query(["SMALLER", str(n)], lambda m, r: m.size < n)

    def by_flag(self):
        flag = self.rng.choice(FLAGS)
        wanted = self.rng.random() < 0.5
        if flag.startswith("\\"):
            key = [("" if wanted else "UN") + flag[1:].upper()]
        else:
            key = ["KEYWORD" if wanted else "UNKEYWORD", self.rng.choice([flag, flag.upper()])]
        return "flag", Query(key, lambda m, r: (flag in m.flags) == wanted)

    def by_received(self):
        day = self.any().received + datetime.timedelta(self.rng.choice([-1, 0, 0, 1]))
        return "received", self.by_day(["SINCE", "BEFORE", "ON"], day, lambda m, r: m.received)

    def by_sent(self):
        m = self.any()
        day = (m.rules.sent or m.received) + datetime.timedelta(self.rng.choice([-1, 0, 0, 1]))
        return "sent", self.by_day(["SENTSINCE", "SENTBEFORE", "SENTON"], day, lambda m, r: r.sent or m.received)

    def by_day(self, keys, day, day_of):
        i = self.rng.randrange(3)
        holds = [lambda d: d >= day, lambda d: d < day, lambda d: d == day][i]
        written = "%d-%s-%04d" % (day.day, mail.MONTHS[day.month - 1][:3].title(), day.year)
        return Query([keys[i], written], lambda m, r: holds(day_of(m, r)))

    def by_text(self):
        kind = self.rng.choices(["BODY", "TEXT", "SUBJECT", "FROM", "TO", "CC", "BCC", "HEADER"], [35, 25, 10, 8, 8, 4, 1, 9])[0]
        foreign = self.rng.random() < 0.25
        name, source = self.source(kind, foreign)
        key, form = pick(self.rng, source, foreign)
        if self.rng.random() < 0.03 or any(c in UNIT + "\ufffe" or "\ud800" <= c <= "\udfff" for c in key):
            key, form = "", "empty"
        if key and self.rng.random() < 0.2:
            key, form = scramble(self.rng, key), "scrambled"
        self.forms[form] += 1
        self.scripts[script(key)] += 1
        return kind, text_query(self.rng, name, rewritten(self.rng, key))

    def source(self, kind, foreign):
        """A text in which a key of this kind looks, of some message that has one."""
        for _ in range(20):
            r = self.rng.choice(self.foreign if foreign else self.messages).rules
            head, body = r.head.split(UNIT)[1:], r.body.split(UNIT)[1:]
            if kind == "HEADER":
                found = [line for line in head if re.match("[A-Z0-9-]+:", line)]
            else:
                found = {"BODY": body, "TEXT": head + body}.get(kind) or list(r.values(kind))
            if foreign:
                found = [text for text in found if FOREIGN.search(text)] or found
            if found:
                break
        text = self.rng.choice(found or ["Subject:"])
        if kind == "HEADER":
            name, _, text = text.partition(":")
            return name, text
        return kind, text


# ---------------------------------------------------------------- the server

QUOTABLE = re.compile(rb"[ !#-\[\]-~]{0,100}")


def render(rng, parts):
    """A search's keys; strings as quoted ones or as literals that need no answer."""
    out, before = b"", "("
    for p in parts:
        if before != "(" and p != ")":
            out += b" "
        before = p
        if isinstance(p, str):
            out += p.encode()
        elif QUOTABLE.fullmatch(p) and rng.random() < 0.5:
            out += b'"' + p + b'"'
        else:
            out += b"{%d+}\r\n" % len(p) + p
    return out


def search(imap, keys):
    tag = imap._new_tag()
    imap.send(tag + b" UID SEARCH " + (b"" if keys.isascii() else b"CHARSET UTF-8 ") + keys + b"\r\n")
    found = set()
    while True:
        line = imap.readline()
        if not line or line.startswith(b"* BYE"):
            raise ConnectionError("the server closed the connection: %r after %r" % (line, keys))
        if line.startswith(b"* SEARCH"):
            found.update(int(x) for x in line.split()[2:] if x.isdigit())
        elif line.startswith(tag):
            return found, line[len(tag) + 1:].rstrip(b"\r\n")


def chunks(uids, n):
    return [b",".join(uids[i:i + n]).decode() for i in range(0, len(uids), n)]


def set_flags(imap, rng, uids):
    for flag in FLAGS:
        for part in chunks([u for u in uids if rng.random() < 0.3], 500):
            imap.uid("STORE", part, "+FLAGS.SILENT", "(%s)" % flag)


def fetch_all(imap, uids):
    messages = []
    for part in chunks(uids, 200):
        _, data = imap.uid("FETCH", part, "(UID FLAGS INTERNALDATE BINARY.PEEK[])")  # BODY[] has no NUL
        for i, item in enumerate(data):
            if not isinstance(item, tuple):
                continue
            told = item[0] + (data[i + 1] if i + 1 < len(data) and isinstance(data[i + 1], bytes) else b"")
            flags = re.search(rb"FLAGS \(([^)]*)\)", told).group(1).decode().split()
            day, month, year = re.search(rb'INTERNALDATE "([ \d]\d)-(\w{3})-(\d{4})', told).groups()
            received = datetime.date(int(year), [m[:3] for m in mail.MONTHS].index(month.decode().lower()) + 1, int(day))
            messages.append(Message(int(re.search(rb"UID (\d+)", told).group(1)), flags, received, item[1]))
    return messages


# ---------------------------------------------------------------- the comparison

class Comparison:
    def __init__(self, messages, judged):
        self.messages, self.judged = messages, judged
        self.by_uid = {m.uid: m for m in messages}
        self.disputed = [m for m in messages if m.disputed()]
        self.hits = self.wrong = self.known = 0
        self.met = set()

    def compare(self, query, keys, found, status):
        if not status.startswith(b"OK"):
            self.report(keys, status=status.decode("utf-8", "replace"))
            return
        want = {m.uid for m in self.messages if query.match(m, m.rules)}
        self.hits += bool(want)
        for uid in sorted(found ^ want):
            sha = self.by_uid[uid].sha if uid in self.by_uid else "?"
            self.differ(keys, sha, "rules", uid in found, self.judged.get(sha, "").startswith("charset"))
        for m in self.disputed:
            if query.match(m, m.library) != (m.uid in found):
                self.differ(keys, m.sha, "library", m.uid in found, m.sha in self.judged)

    def differ(self, keys, sha, reading, found, known):
        self.met.add(sha)
        self.known += known
        if not known:
            self.report(keys, message=sha, reading=reading, found_by="server" if found else "oracle")

    def report(self, keys, **what):
        self.wrong += 1
        print(json.dumps({"query": keys.decode("utf-8", "replace"), **what}))

    def check_judged(self):
        """The judged file names those messages, and no others, that Python's parsers read otherwise."""
        for m in self.messages:
            if m.disputed() and m.sha not in self.judged:
                self.report(b"", message=m.sha, reading="Python's parsers read it otherwise, and no one has judged that")
            elif not m.disputed() and not self.judged.get(m.sha, "charset").startswith("charset"):
                self.report(b"", message=m.sha, reading="judged, but Python's parsers read it alike")


def read_judged(name):
    lines = [line.split(maxsplit=1) for line in open(name) if line.strip() and not line.startswith("#")]
    return {sha: why.strip() for sha, why in lines}


def shares(counter):
    total = sum(counter.values()) or 1
    return ", ".join("%s %.0f %%" % (k, 100 * n / total) if 100 * n >= total else "%s %d" % (k, n) for k, n in counter.most_common())


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--port", type=int, required=True)
    p.add_argument("--user", required=True)
    p.add_argument("--password", required=True)
    p.add_argument("--mailbox", default="INBOX")
    p.add_argument("--queries", type=int, default=2000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--judged", help="lines: the first 16 hex digits of a message's SHA-256, a space, a reason")
    a = p.parse_args()

    rng = random.Random(a.seed)
    imap = imaplib.IMAP4("127.0.0.1", a.port)
    imap.login(a.user, a.password)
    imap.select('"%s"' % a.mailbox)
    uids = imap.uid("SEARCH", "ALL")[1][0].split()
    set_flags(imap, rng, uids)
    messages = fetch_all(imap, uids)
    c, g = Comparison(messages, read_judged(a.judged) if a.judged else {}), Generator(rng, messages)
    for _ in range(a.queries):
        query = g.draw()
        keys = render(rng, query.imap)
        c.compare(query, keys, *search(imap, keys))
    imap.logout()
    c.check_judged()
    print("keys: %s; scripts: %s; search keys: %s" % (shares(g.forms), shares(g.scripts), shares(g.kinds)))
    print("%d queries (seed %d) over %d messages, %.0f %% with hits: %d differences; judged: %d, on %d of the %d messages that Python's parsers read otherwise" %
          (a.queries, a.seed, len(messages), 100 * c.hits / max(1, a.queries), c.wrong, c.known, len(c.met), len(c.disputed)))
    sys.exit(1 if c.wrong else 0)


if __name__ == "__main__":
    main()
