# A client that comes back by QRESYNC (RFC 7162) while another changes the mail: prints "ok" if it has what there is.
import imaplib, re, ssl, sys

host, port, user, password, cert = sys.argv[1:]
context = ssl.create_default_context(cafile=cert)
context.check_hostname = False


def ok(answer):
    assert answer[0] == "OK", answer
    return answer[1]


def login():
    m = imaplib.IMAP4(host, int(port))
    ok(m.starttls(context))
    ok(m.login(user, password))
    capabilities = ok(m.capability())[0].decode().split()
    assert {"QRESYNC", "CONDSTORE", "ENABLE"} <= set(capabilities), capabilities
    m.capabilities = tuple(capabilities)
    return m


def text(items):
    return [i.decode() if isinstance(i, bytes) else i for i in items if i is not None]


def select(m, parameters=""):
    arguments = ["INBOX"] + ([parameters] if parameters else [])
    m.untagged_responses = {}
    ok(m._simple_command("SELECT", *arguments))
    m.state = "SELECTED"
    return dict(m.untagged_responses)


def flags_of(lines):
    out = {}
    for line in text(lines):
        uid, flags = re.search(r"UID (\d+)", line), re.search(r"FLAGS \(([^)]*)\)", line)
        assert re.search(r"MODSEQ \([1-9]\d*\)", line), line
        out[int(uid[1])] = frozenset(flags[1].split()) - {r"\Recent"}
    return out


def uids_of(lines):
    out = set()
    for line in text(lines):
        for part in line.removeprefix("(EARLIER) ").split(","):
            first, _, last = part.partition(":")
            out |= set(range(int(first), int(last or first) + 1))
    return out


def everything(m):
    return flags_of(ok(m.uid("FETCH", "1:*", "(FLAGS MODSEQ)")))


# What a client knows when it goes away.
one = login()
ok(one.enable("QRESYNC"))
first = select(one)
validity, highest = text(first["UIDVALIDITY"])[0], text(first["HIGHESTMODSEQ"])[0]
known = everything(one)
one.shutdown()

# What another does meanwhile.
two = login()
select(two)
uids = sorted(known)
ok(two.uid("STORE", ",".join(map(str, uids[::7])), "+FLAGS.SILENT", r"(\Deleted)"))
ok(two.expunge())
ok(two.uid("STORE", ",".join(map(str, uids[1::5])), "+FLAGS", r"(\Answered $Python)"))
ok(two.append("INBOX", r"(\Draft)", None, b"Subject: new\r\n\r\nssss\r\n"))

# It comes back: what it hears makes of what it knew what there is.
one = login()
ok(one.enable("QRESYNC"))
heard = select(one, f"(QRESYNC ({validity} {highest} {uids[0]}:{uids[-1]}))")
assert text(heard["UIDVALIDITY"])[0] == validity
vanished = uids_of(heard["VANISHED"])
assert vanished == set(uids[::7]), vanished
for uid in vanished:
    del known[uid]
known |= flags_of(heard["FETCH"])
known |= flags_of(ok(one.uid("FETCH", f"{uids[-1] + 1}:*", "(FLAGS MODSEQ)")))
now = everything(one)
assert known == now, (known, now)
assert len(heard["FETCH"]) < len(now), "all was told anew"

# And while it is there: VANISHED, and a STORE that comes too late.
ok(two.uid("STORE", str(uids[1]), "+FLAGS.SILENT", r"(\Deleted)"))
ok(two.uid("EXPUNGE", str(uids[1])))
ok(two.uid("STORE", str(uids[2]), "+FLAGS.SILENT", r"(\Flagged)"))
one.untagged_responses = {}
ok(one.noop())
assert uids_of(one.untagged_responses["VANISHED"]) == {uids[1]}, one.untagged_responses
ok(one._simple_command("UID", "STORE", str(uids[2]), f"(UNCHANGEDSINCE {highest})", "+FLAGS.SILENT", r"(\Seen)"))
assert text(one.untagged_responses.get("MODIFIED", []))[:1] == [str(uids[2])], one.untagged_responses
one.shutdown()
two.logout()
print("ok")
