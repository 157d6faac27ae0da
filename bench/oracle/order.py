#!/usr/bin/env python3
"""Asks an IMAP server to sort and thread a mailbox, and does both itself.

The messages are read from the server once. Their headers are divided and decoded by
mail.py, addresses are read by `email.utils`, and base subject, sort keys and threads
are made here by the text of RFC 5256, RFC 5957 and draft-ietf-morg-inthread. Nothing
is shared with the server.

A key that the two could read differently because the field is not as RFC 5322 has it
takes its message out of that sort; how many those are is printed, and more than a
tenth is a failure. Threads are compared as a whole.

usage: order.py --port N --user U --password P [--mailbox M]

Exit status: 0 when all orders and threads agree.
"""
import argparse
import collections
import datetime
import email.utils
import imaplib
import re
import sys

import mail

imaplib._MAXLINE = 100_000_000
sys.setrecursionlimit(100_000)

# ---------------------------------------------------------------- RFC 5256 §2.1

BLOB = r"\[[^\[\]]*\][ ]*"
REFWD = r"(?:re|fwd?)[ ]*(?:%s)?:" % BLOB
LEADER = re.compile(r"(?:%s)*%s" % (BLOB, REFWD), re.I)


def base_subject(subject):
    """The base subject, and whether the subject is that of a reply or a forward."""
    s, reply = re.sub(r"[ \t\r\n]+", " ", subject), False
    while True:
        while s.endswith(" ") or s.lower().endswith("(fwd)"):
            if not s.endswith(" "):
                s, reply = s[:-4], True
            s = s[:-1]
        changed = True
        while changed:
            changed = False
            while s.startswith(" ") or LEADER.match(s):
                m, changed = LEADER.match(s), True
                s, reply = (s[m.end():], True) if m else (s[1:], reply)
            m = re.match(BLOB, s)
            if m and m.end() < len(s):
                s, changed = s[m.end():], True
        if not (s.lower().startswith("[fwd:") and s.endswith("]")):
            return s, reply
        s, reply = s[5:-1], True


# ---------------------------------------------------------------- messages

def collate(s):
    """What i;unicode-casemap compares: octets."""
    return s.translate(mail.FOLD).encode("utf-8", "surrogatepass")


PLAIN_ADDRESS = re.compile(r"""\s*(?:(?P<n>(?:"(?:[^"\\<>@,;:()]|\\["\\])*"|[^"\\<>@,;:()\[\]]+?)?)\s*<(?P<a>[^\s"<>@,;:()\\]+@[^\s"<>@,;:()\\]+)>"""
                           r"""|(?P<b>[^\s"<>@,;:()\\]+@[^\s"<>@,;:()\\]+)(?:\s*\((?P<c>[^"()\\<>,;]*)\))?)\s*(?:,.*)?""", re.S)
PLAIN_DATE = re.compile(r"\s*(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),)?\s*\d{1,2} [A-Z][a-z]{2} \d{4} [0-2]\d:[0-5]\d(?::[0-5]\d)?"
                        r" (?:[+-]\d{4}|GMT|UT|EST|EDT|CST|CDT|MST|MDT|PST|PDT)(?: \([^()]*\))?\s*")
MESSAGE_ID = re.compile(r"<([^<>]*)>")


class Message:
    def __init__(self, uid, received, raw):
        fields, _, _ = mail.split(raw, False)
        self.fields = collections.defaultdict(list)
        for name, value in fields:
            self.fields[name.lower()].append(re.sub(rb"[\r\n\0]", b"", value).strip(b" \t"))
        self.uid, self.received, self.size = uid, received, len(raw)
        self.base, self.reply = base_subject(mail.decode_value(self.one("subject") or b""))
        self.subject = collate(self.base)
        self.sent = self.date()
        self.id = next(iter(self.ids("message-id")), None)
        self.refs = [i for value in self.fields["references"] for i in ids_of(value)]
        self.refs = self.refs or self.ids("in-reply-to")[:1]

    def one(self, name):
        return self.fields[name][0] if self.fields[name] else None

    def ids(self, name):
        return ids_of(self.one(name) or b"")

    def date(self):
        """The moment of the Date field; None where it is not a plain one, the internal date where there is none."""
        value = self.one("date")
        if value is None:
            return self.received
        value = value.decode("latin-1")
        if not PLAIN_DATE.fullmatch(value):
            return None
        try:
            return int(email.utils.parsedate_to_datetime(value).timestamp())
        except (ValueError, TypeError):
            return None

    def address(self, name):
        """Name and address of a field's first address; None if it is not a plain one."""
        values = [v for v in self.fields[name] if v]
        if not values:
            return "", ""
        m = PLAIN_ADDRESS.fullmatch(values[0].decode("latin-1"))
        if not m:
            return None
        shown = m["n"] or m["c"] or ""
        parsed = email.utils.getaddresses([values[0].decode("latin-1").partition(",")[0]])
        if len(parsed) != 1 or parsed[0][1] != (m["a"] or m["b"]):
            return None
        shown = shown.strip(" \t")
        if shown.startswith('"'):
            shown = re.sub(r"\\(.)", r"\1", shown[1:-1])
        else:
            shown = re.sub(r"[ \t]+", " ", shown)
        return mail.decode_value(shown.encode("latin-1")), parsed[0][1]

    def local(self, name):
        a = self.address(name)
        return None if a is None else collate(mail.to_text(a[1].rpartition("@")[0].encode("latin-1"), "utf-8"))

    def display(self, name):
        a = self.address(name)
        return None if a is None else collate(a[0] or mail.to_text(a[1].encode("latin-1"), "utf-8"))


def ids_of(value):
    found = []
    for m in MESSAGE_ID.finditer(value.decode("latin-1")):
        i = m.group(1)
        quoted = '"' in i
        i = "".join(c for c in i if c > " " and c != '"' and not (quoted and c == "\\"))
        left, at, right = i.partition("@")
        if left and at and right:
            found.append(i)
    return found


KEYS = {
    "ARRIVAL": lambda m: m.received, "SIZE": lambda m: m.size, "SUBJECT": lambda m: m.subject, "DATE": lambda m: m.sent,
    "FROM": lambda m: m.local("from"), "TO": lambda m: m.local("to"), "CC": lambda m: m.local("cc"),
    "DISPLAYFROM": lambda m: m.display("from"), "DISPLAYTO": lambda m: m.display("to"),
}

# ---------------------------------------------------------------- threads

class Node:
    def __init__(self, message=None):
        self.message, self.parent, self.children = message, None, []

    def adopt(self, child):
        child.parent = self
        self.children.append(child)

    def leave(self):
        if self.parent:
            self.parent.children.remove(self)
            self.parent = None

    def is_below(self, other):
        node = self
        while node and node is not other:
            node = node.parent
        return node is other

    def first(self):
        return self.message or self.children[0].message

    def all(self):
        yield self
        for c in self.children:
            yield from c.all()


def by_date(node):
    m = node.first()
    return m.sent, m.uid


def link(messages):
    known, nodes = {}, []
    for m in messages:
        m.node = Node(m)
        nodes.append(m.node)
        if m.id:
            known.setdefault(m.id, m.node)

    def find(i):
        if i not in known:
            known[i] = Node()
            nodes.append(known[i])
        return known[i]

    for m in messages:
        chain = [find(i) for i in m.refs]
        for parent, child in zip(chain, chain[1:]):
            if not child.parent and not parent.is_below(child):
                parent.adopt(child)
        m.node.leave()
        if chain and not chain[-1].is_below(m.node):
            chain[-1].adopt(m.node)
    return [n for n in nodes if not n.parent]


def prune(node, top):
    """What stands in a node's place once its dummies are gone."""
    children = [n for c in node.children for n in prune(c, False)]
    if not node.message and (not top or len(children) < 2):
        for c in children:
            c.parent = None
        return children
    node.children = []
    for c in children:
        node.adopt(c)
    return [node]


def in_order(nodes):
    for n in nodes:
        n.children = in_order(n.children)
    return sorted(nodes, key=by_date)


def merge(roots):
    def subject(n):
        return n.first().subject

    table = {}
    for n in roots:
        if not subject(n):
            continue
        old = table.get(subject(n))
        if not old or old.message and (not n.message or old.message.reply and not n.message.reply):
            table[subject(n)] = n
    for n in roots:
        other = table.get(subject(n))
        if not subject(n) or n.parent or other is n:
            continue
        if not other.message and not n.message:
            for c in n.children:
                other.adopt(c)
            n.children = []
        elif not other.message or n.message.reply and not other.message.reply:
            other.adopt(n)
        else:
            table[subject(n)] = dummy = Node()
            dummy.adopt(other)
            dummy.adopt(n)
    tops = {id(n): n for n in roots if not n.parent and (n.message or n.children)}
    for n in roots:
        if n.parent and not n.parent.parent:
            tops[id(n.parent)] = n.parent
    return list(tops.values())


def references(messages):
    roots = in_order([n for r in link(messages) for n in prune(r, True)])
    return in_order(merge(roots))


def refs(messages):
    roots = in_order([n for r in link(messages) for n in prune(r, True)])
    return sorted(roots, key=lambda r: max(n.message.received for n in r.all() if n.message))


def ordered_subject(messages):
    threads = {}
    for m in sorted(messages, key=lambda m: (m.sent, m.uid)):
        node = Node(m)
        if m.subject in threads:
            threads[m.subject].adopt(node)
        else:
            threads[m.subject] = node
    return list(threads.values())


def written(nodes):
    return "".join("(%s)" % inside(n) for n in nodes)


def inside(node):
    out = []
    while True:
        if node.message:
            out.append(str(node.message.uid))
        if len(node.children) != 1:
            break
        node = node.children[0]
    text = " ".join(out)
    below = written(node.children)
    return text + " " + below if text and below else text + below


ALGORITHMS = {"ORDEREDSUBJECT": ordered_subject, "REFERENCES": references, "REFS": refs}

# ---------------------------------------------------------------- the server

RECEIVED = re.compile(rb'INTERNALDATE "([ \d]\d)-(\w{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)"')


def received(told):
    d, month, y, h, m, s, sign, zh, zm = RECEIVED.search(told).groups()
    month = [m[:3] for m in mail.MONTHS].index(month.decode().lower()) + 1
    zone = datetime.timedelta(hours=int(zh), minutes=int(zm)) * (-1 if sign == b"-" else 1)
    at = datetime.datetime(int(y), month, int(d), int(h), int(m), int(s), tzinfo=datetime.timezone(zone))
    return int(at.timestamp())


def fetch_all(imap, uids):
    messages = []
    for i in range(0, len(uids), 200):
        part = b",".join(uids[i:i + 200]).decode()
        _, data = imap.uid("FETCH", part, "(UID INTERNALDATE RFC822.SIZE BODY.PEEK[])")
        for j, item in enumerate(data):
            if isinstance(item, tuple):
                told = item[0] + (data[j + 1] if j + 1 < len(data) and isinstance(data[j + 1], bytes) else b"")
                messages.append(Message(int(re.search(rb"UID (\d+)", told).group(1)), received(told), item[1]))
    return messages


def ranges(uids):
    out, start, last = [], None, None
    for u in uids + [None]:
        if start is not None and u == last + 1 if u else False:
            last = u
            continue
        if start is not None:
            out.append("%d:%d" % (start, last))
        start = last = u
    return ",".join(out)


class Refused(Exception):
    """The server does not know the command."""


def ask(imap, name, *args):
    """The untagged response of SORT or THREAD."""
    imap.untagged_responses.pop(name, None)
    try:
        status, data = imap._simple_command("UID", name, *args)
    except imaplib.IMAP4.error as e:
        raise Refused(e)
    if status != "OK":
        raise Refused("%s %s" % (status, data))
    return imap._untagged_response(status, data, name)[1][0] or b""


class Comparison:
    """What came of one order or of one way of threading."""

    def __init__(self, name):
        self.name, self.left_out, self.wrong, self.refused = name, 0, None, None

    def ask(self, imap, *args):
        try:
            return ask(imap, *args)
        except Refused as e:
            self.refused = str(e)

    def differs(self, got, want, show):
        """Says where the two part."""
        if got is None or got == want:
            return
        at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
        self.wrong = "place %d of %d: %s; want %s" % (at, len(want), show(got, at), show(want, at))

    def __str__(self):
        outcome = "refused" if self.refused else "wrong" if self.wrong else "equal"
        return "\t".join(["answer", self.name, outcome, str(self.left_out), self.refused or self.wrong or ""])


# Orders are lists of keys, each with whether it is reversed.
ORDERS = [[(name, reverse)] for name in KEYS for reverse in (False, True)] + [
    [("SUBJECT", False), ("DATE", True)], [("FROM", True), ("SIZE", False)], [("DISPLAYTO", False), ("CC", True), ("ARRIVAL", True)]]


def compare_sort(imap, order, messages):
    program = " ".join("REVERSE " + name if reverse else name for name, reverse in order)
    c = Comparison("SORT (%s)" % program)
    values = {m.uid: [KEYS[name](m) for name, _ in order] for m in messages}
    want = sorted(uid for uid, v in values.items() if None not in v)
    uids = ranges(want)
    for i, (_, reverse) in reversed(list(enumerate(order))):  # equal ones stay as they are, reversed or not
        want = sorted(want, key=lambda u: values[u][i], reverse=reverse)
    c.left_out = len(messages) - len(want)
    got = c.ask(imap, "SORT", "(%s)" % program, "UTF-8", "UID " + uids)
    c.differs(None if got is None else [int(u) for u in got.split()], want, lambda uids, at: "%s, %r" % (uids[at:at + 1], values.get((uids[at:at + 1] or [0])[0])))
    return c


def compare_threads(imap, name, messages):
    c = Comparison("THREAD " + name)
    want = written(ALGORITHMS[name](messages))
    got = c.ask(imap, "THREAD", name, "UTF-8", "UID " + ranges([m.uid for m in messages]))
    c.differs(None if got is None else got.decode(), want, lambda s, at: s[max(0, at - 60):at + 60])
    return c


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--port", type=int, required=True)
    p.add_argument("--user", required=True)
    p.add_argument("--password", required=True)
    p.add_argument("--mailbox", default="INBOX")
    p.add_argument("--answers", action="store_true", help="print a line for each order and way of threading, with tabs between its parts, and nothing else")
    a = p.parse_args()
    imap = imaplib.IMAP4("127.0.0.1", a.port)
    imap.login(a.user, a.password)
    imap.select('"%s"' % a.mailbox)
    messages = fetch_all(imap, imap.uid("SEARCH", "ALL")[1][0].split())
    dated = [m for m in messages if m.sent is not None]
    all_of_them = [compare_sort(imap, order, messages) for order in ORDERS] + [compare_threads(imap, name, dated) for name in ALGORITHMS]
    imap.logout()
    if a.answers:
        print(*all_of_them, sep="\n")
        return
    sys.exit(1 if report(all_of_them, messages, dated) else 0)


def report(comparisons, messages, dated):
    """Prints what is wrong, and a sum; returns how much is wrong."""
    wrong = 0
    for c in comparisons:
        many = 10 * c.left_out > len(messages)
        if many:
            print("%s: %d of %d messages are left out" % (c.name, c.left_out, len(messages)))
        if c.wrong or c.refused:
            print("%s: %s" % (c.name, c.wrong or c.refused))
        wrong += bool(many or c.wrong or c.refused)
    left_out = ["%s %d" % (c.name, c.left_out) for c in comparisons if c.left_out and "REVERSE" not in c.name]
    sorts = sum(c.name.startswith("SORT") for c in comparisons)
    print("left out for fields that are not as they should be: %s" % (", ".join(left_out) or "none"))
    print("%d sorts and %d threads of %d messages, %d of them with references: %d differences" %
          (sorts, len(comparisons) - sorts, len(messages), sum(bool(m.refs) for m in dated), wrong))
    return wrong


if __name__ == "__main__":
    main()
