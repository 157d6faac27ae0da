# Reads all mail under TLS and prints the SHA-256 of each message; then changes some.
import hashlib, imaplib, ssl, sys

host, port, user, password, cert = sys.argv[1:]
context = ssl.create_default_context(cafile=cert)
context.check_hostname = False


def ok(answer):
    assert answer[0] == "OK", answer
    return answer[1]


m = imaplib.IMAP4(host, int(port))
ok(m.starttls(context))
ok(m.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode()))
count = int(ok(m.select("INBOX"))[0])
uids = ok(m.uid("SEARCH", "ALL"))[0].split()
assert len(uids) == count, (len(uids), count)
for answer in ok(m.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[])")):
    if isinstance(answer, tuple):
        print(hashlib.sha256(answer[1]).hexdigest())
ok(m.create("python"))
ok(m.uid("COPY", uids[0].decode() + ":" + uids[4].decode(), "python"))
ok(m.select("python"))
ok(m.store("1:3", "+FLAGS.SILENT", r"(\Seen \Flagged $Python)"))
ok(m.store("5", "+FLAGS", r"(\Deleted)"))
assert ok(m.expunge()) == [b"5"]
assert ok(m.search(None, "FLAGGED", "KEYWORD", "$Python")) == [b"1 2 3"]
ok(m.append("python", r"(\Draft)", imaplib.Time2Internaldate(1700000000), b"Subject: snake\r\n\r\nssss\r\n"))
assert ok(m.noop())
assert ok(m.search(None, "SUBJECT", "snake", "DRAFT")) == [b"5"]
assert ok(m.status("python", "(MESSAGES UNSEEN UIDNEXT)")) == [b"python (MESSAGES 5 UNSEEN 2 UIDNEXT 7)"]
ok(m.close())
m.logout()
