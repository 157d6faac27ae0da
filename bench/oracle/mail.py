"""Reads mail for searching, by code that shares nothing with the server.

There are two readings of every message:

- Rules: the rules of docs/search.md, "What is searched", written down a second
  time. The server must agree with it about every message.
- Library: what Python's `email` and `html.parser` make of it. The server agrees
  with that about mail that is as it should be; where the mail is not, every
  message about which they differ is named in judged.txt, with the reason.

Both give header units, (name, line) with the name in lower case, and body units,
all folded and spaced. Decoding to Unicode and the fold are common to both.
"""
import base64
import codecs
import datetime
import email
import email.message
import email.policy
import email.utils
import html
import html.parser
import re
import unicodedata

# ---------------------------------------------------------------- the fold

WHITE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
SPACES = re.compile("[" + WHITE + "]+")


class Fold(dict):
    """RFC 5051: simple titlecase, then decomposition of any kind, recursively."""

    def __missing__(self, code):
        c = chr(code)
        title = c.title()
        if len(title) != 1:
            title = c  # only simple case mappings count
        self[code] = decompose(title)
        return self[code]


def decompose(c):
    parts = unicodedata.decomposition(c).split()
    if not parts:
        return c
    return "".join(decompose(chr(int(p, 16))) for p in parts if not p.startswith("<"))


FOLD = Fold()


def fold(s):
    return SPACES.sub(" ", s.upper() if s.isascii() else s.translate(FOLD))


# ---------------------------------------------------------------- charsets

CHARSETS = {
    "ms932": "cp932", "x-sjis": "cp932", "shift-jis": "cp932", "shift_jis": "cp932", "sjis": "cp932",
    "ks_c_5601-1987": "cp949", "ms949": "cp949", "euc-kr": "cp949",
    "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "big5": "cp950", "big-5": "cp950",
    "unicode-1-1-utf-7": "utf-7", "iso-8859-8-i": "iso-8859-8", "iso-8859-1": "cp1252", "latin1": "cp1252",
    "iso-8859-9": "cp1254", "tis-620": "cp874", "iso-8859-11": "cp874",
    "utf8": "utf-8", "us-ascii": "utf-8", "ascii": "utf-8",
}

# What Windows-1252 leaves undefined means the control characters of those numbers.
WINDOWS = "".join(chr(b) if b in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else bytes([b]).decode("cp1252") for b in range(256))
codecs.register_error("windows", lambda e: ("".join(WINDOWS[b] for b in e.object[e.start:e.end]), e.end))
ONE_OCTET = re.compile(r"cp125\d|iso-?8859|koi8|cp8\d\d|mac|tis|latin|cp437")


def codec(charset):
    """The name of Python's codec for a charset as mail names it; None where there is none."""
    name = (charset or "").strip(" \t\r\n\"'<>").lower()
    try:
        name = codecs.lookup(CHARSETS.get(name, name)).name
        return name if isinstance(b"".decode(name), str) else None
    except (LookupError, UnicodeError, ValueError, TypeError):
        return None


def to_text(data, charset):
    name = codec(charset) or "utf-8"
    if name == "utf-8" or ONE_OCTET.match(name):
        return data.decode(name, "windows")
    s = data.decode(name, "replace")
    if "\ufffd" in s:
        try:
            return data.decode("utf-8")
        except UnicodeError:
            pass
    return s


# ---------------------------------------------------------------- transfer encodings

def from_base64(data):
    """What is no digit is passed over; behind padding, only lines of digits are more of it."""
    out, digits, padded = [], b"", False
    for line in data.split(b"\n"):
        if padded and not re.fullmatch(rb"[A-Za-z0-9+/]*=*", line.strip(b" \t\r\0") or b"-"):
            continue
        padded = False
        for piece, equals in re.findall(rb"([^=]*)(=?)", line):
            digits += re.sub(rb"[^A-Za-z0-9+/]", b"", piece)
            if equals and len(digits) % 4:
                padded = True
                break
        if padded or len(digits) % 4 == 0:
            out.append(whole_octets(digits))
            digits = b""
    return b"".join(out) + whole_octets(digits)


def whole_octets(digits):
    if len(digits) % 4 == 1:
        digits = digits[:-1]
    return base64.b64decode(digits + b"=" * (-len(digits) % 4))


def from_quoted_printable(data):
    """White space before a line end is the transport's; an "=" that begins no code stays."""
    out = []
    for line in re.findall(rb"[^\n]*\n|[^\n]+", data):
        end = re.search(rb"\r?\n\Z|\Z", line).group()
        text = line[:len(line) - len(end)]
        text = text.rstrip(b" \t\r") if end else re.sub(rb"=[ \t]*\r?\Z", b"=", text)
        if text.endswith(b"="):
            text, end = text[:-1], b""
        out.append(from_codes(text) + end)
    return b"".join(out)


def from_codes(data):
    return re.sub(rb"=([0-9A-Fa-f]{2})", lambda m: bytes([int(m.group(1), 16)]), data)


# ---------------------------------------------------------------- header values

ENCODED = re.compile(r"=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bBqQ])\?((?:(?!\?=|=\?(?!=)).)*)\?=", re.S)


def word_octets(encoding, s):
    s = s.encode("latin-1")
    return from_base64(s) if encoding in "bB" else from_codes(s.replace(b"_", b" "))


def decode_value(raw):
    """The octets of a header's value as text: unfolded, encoded words decoded (RFC 2047, and what is found in the wild)."""
    raw = re.sub(rb"[\r\n\0]", b"", raw).decode("latin-1")
    out, at = [], 0  # out: (charset, octets), where the charset of what is no encoded word is None
    for m in ENCODED.finditer(raw):
        between = raw[at:m.start()]
        if between.strip(" \t") or not (out and out[-1][0]):
            out.append((None, between.encode("latin-1")))
        charset, octets = m.group(1).lower(), word_octets(m.group(2), m.group(3))
        if out[-1][0] == charset:
            out[-1] = (charset, out[-1][1] + octets)
        else:
            out.append((charset, octets))
        at = m.end()
    out.append((None, raw[at:].encode("latin-1")))
    return "".join(to_text(octets, charset) for charset, octets in out)


def header_line(name, value):
    return fold(name + ": " + decode_value(value).strip(WHITE))


# ---------------------------------------------------------------- dates

MONTHS = "january february march april may june july august september october november december".split()
DAY_FIRST = re.compile(r"(?<!\d)(?P<d>\d{1,2})[\s,-]+(?P<m>[A-Za-z]{3,9})\.?[\s,-]+(?P<y>\d{2,4})(?!\d)")
MONTH_FIRST = re.compile(r"(?P<m>[A-Za-z]{3,9})\.?\s+(?P<d>\d{1,2}),?\s.*?(?<!\d)(?P<y>\d{4})(?!\d)")
YEAR_FIRST = re.compile(r"(?<!\d)(?P<y>\d{4})([-/])(?P<m>\d{1,2})\2(?P<d>\d{1,2})(?!\d)")


def written_day(value):
    """The day that a Date field names, whatever its zone; None where it names none of the calendar."""
    value = re.sub(r"\([^()]*\)", " ", value)
    m = YEAR_FIRST.search(value) or DAY_FIRST.search(value) or MONTH_FIRST.search(value)
    if not m:
        return None
    month = m["m"].lower()
    numbers = [int(month)] if month.isdigit() else [i for i, name in enumerate(MONTHS, 1) if name.startswith(month)]
    year = int(m["y"]) + {2: 2000 if int(m["y"]) < 50 else 1900, 3: 1900}.get(len(m["y"]), 0)
    return calendar_day(year, numbers[0] if numbers else 0, int(m["d"]))


def parsed_day(value):
    """The same by `email`."""
    parts = email.utils.parsedate_tz(value)
    return calendar_day(*parts[:3]) if parts else None


def calendar_day(year, month, day):
    try:
        return datetime.date(year, month, day)
    except ValueError:
        return None


def first(fields, name):
    return next((v for n, v in fields if n.lower() == name), None)


# ---------------------------------------------------------------- HTML

BLOCK = set("address article aside blockquote body br button caption center col colgroup dd details dialog dir div dl dt fieldset "
            "figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html iframe input legend li listing "
            "main menu nav noframes noscript object ol optgroup option p plaintext pre search section select summary table tbody td "
            "textarea tfoot th thead title tr ul xmp".split())
HIDDEN = {"script", "style", "title", "iframe", "noembed", "noframes"}
ALT = {"img", "area", "input"}

MARKUP = re.compile(r"<(?=[a-zA-Z/!?])")
NO_TAG = re.compile(r"<!--(?:-?>|.*?(?:--!?>|\Z))|<(?:[!?]|/(?![a-zA-Z]))[^>]*(?:>|\Z)", re.S)
TAG = re.compile(r"</?([a-zA-Z][^ \t\n\r\f/>]*)")
ATTRIBUTE = re.compile(r"""[ \t\n\r\f/]*(?:(>|\Z)|([^ \t\n\r\f/>][^ \t\n\r\f/>=]*)"""
                       r"""(?:[ \t\n\r\f]*=[ \t\n\r\f]*(?:"([^"]*)"?|'([^']*)'?|([^ \t\n\r\f>]*)))?)""")


def seen_text(s):
    """The text that a reader of HTML sees, by the rules."""
    out, at = [], 0
    while at < len(s):
        m = MARKUP.search(s, at)
        out.append(html.unescape(s[at:m.start() if m else len(s)]))
        if not m:
            break
        at = m.start()
        if m := NO_TAG.match(s, at):
            at = m.end()
            continue
        m = TAG.match(s, at)
        name, begins, at = m.group(1).lower(), s[at + 1] != "/", m.end()
        alt = None
        while not (m := ATTRIBUTE.match(s, at)).group(1) and m.end() < len(s):
            if alt is None and m.group(2).lower() == "alt":
                alt = m.group(3) or m.group(4) or m.group(5) or ""
            at = m.end()
        at = m.end()
        if name in BLOCK:
            out.append(" ")
        if begins and name in ALT and alt:
            out += [" ", html.unescape(alt), " "]
        if begins and (name in HIDDEN or name in ("textarea", "xmp")):
            end = re.compile("</" + name + "[ \t\n\r\f/>]", re.I).search(s, at)
            end = end.start() if end else len(s)
            if name not in HIDDEN:
                out.append(html.unescape(s[at:end]))
            at = end
    return "".join(out).replace("\xad", "")


class Reader(html.parser.HTMLParser):
    """The same by Python's own parser."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.out, self.hidden = [], None

    def handle_starttag(self, tag, attrs):
        if self.hidden:
            return
        if tag in HIDDEN:
            self.hidden = tag
        if tag in BLOCK:
            self.out.append(" ")
        if tag in ALT:
            self.out += [" " + v + " " for n, v in attrs if n == "alt" and v]

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        if self.hidden and tag != self.hidden:
            return
        self.hidden = None
        if tag in BLOCK:
            self.out.append(" ")

    def handle_data(self, data):
        if not self.hidden:
            self.out.append(data)


def parsed_text(s):
    r = Reader()
    r.feed(s)
    r.close()
    return "".join(r.out).replace("\xad", "")


# ---------------------------------------------------------------- parts

HTML = ("text/html", "application/xhtml+xml")
WHOLE_MESSAGE = ("message/rfc822", "message/global")


def part_text(data, charset, kind, html_text):
    """The text of a part whose transfer encoding is undone."""
    if kind in HTML and not codec(charset) and (m := re.search(rb"charset=[ \"']*([^ \"'/>;]*)", data[:1024].lower())):
        charset = m.group(1).decode("latin-1")
    if not codec(charset) and data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        charset = "utf-16"
    s = to_text(data, charset)
    return html_text(s) if kind in HTML else s


def file_names(part, octets_of):
    """The decoded names of a part's file: the disposition's, and the type's if that is another."""
    names = []
    for name in (part.get_param("filename", None, "content-disposition"), part.get_param("name")):
        if isinstance(name, tuple):  # RFC 2231
            name = to_text(name[2].encode("latin-1"), name[0])
        elif name:
            name = decode_value(octets_of(name))
        if name and name not in names:
            names.append(name)
    return names


def latin1(s):
    return s.encode("latin-1")


def escaped(s):
    """Undoes what Python's parser does to octets that are not ASCII."""
    return str(s).encode("utf-8", "surrogateescape")


# ---------------------------------------------------------------- the two readings

class Library:
    """A message as Python's parsers take it."""

    def __init__(self, raw):
        self.bodies = []
        message = email.message_from_bytes(raw, policy=email.policy.compat32)
        self.headers = [(n.lower(), header_line(n, escaped(v))) for n, v in message.raw_items()]
        self.sent = parsed_day(str(first(message.raw_items(), "date") or ""))
        self.walk(message, False)

    def add(self, text):
        if text.strip(WHITE):
            self.bodies.append(fold(text))

    def walk(self, part, in_multipart):
        kind = part.get_content_type()
        for name in file_names(part, escaped):
            self.add(name)
        if in_multipart and (d := part.get("content-description")):
            self.add(decode_value(escaped(d)))
        if kind in WHOLE_MESSAGE and part.is_multipart():
            for inner in part.get_payload():
                self.bodies += [header_line(n, escaped(v)) for n, v in inner.raw_items()]
                self.walk(inner, False)
        elif part.get_content_maintype() == "message" and part.is_multipart():
            # Python takes delivery reports apart; they are text.
            self.add("\n".join(str(inner) for inner in part.get_payload()))
        elif part.is_multipart():
            for inner in part.get_payload():
                self.walk(inner, True)
        elif part.get_content_maintype() in ("text", "message", "multipart") or kind in HTML:
            self.add(part_text(part.get_payload(decode=True) or b"", part.get_content_charset(), kind, parsed_text))


FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:(.*)", re.S)
MBOX = re.compile(rb">?From .")
TYPE = re.compile(r"([^\s/;(]+)\s*/\s*([^\s/;(]+)(?!\S*/)")
IDENTITY = {"", "7bit", "8bit", "binary", "7-bit", "8-bit"}
BASE64 = {"base64", "base-64", "x-base64"}
QUOTED = {"quoted-printable", "quotedprintable", "quoted-printible"}


def split(raw, in_multipart):
    """Divides a header from its body: the fields, the lines that are none, and the body."""
    at, entries, blank = 0, [], False  # entries: place and octets of a line with its continuations
    if MBOX.match(raw) and not FIELD.match(raw.partition(b"\n")[0]):
        at = raw.find(b"\n") + 1 or len(raw)
    begin = at
    while at < len(raw):
        end = raw.find(b"\n", at) + 1 or len(raw)
        line = raw[at:end]
        if line in (b"\n", b"\r\n"):
            blank = True
            break
        if line[:1] in (b" ", b"\t") and at > begin:
            entries[-1][1].append(line)
        elif line.startswith(b"--") and ends_header(line, entries):
            break
        else:
            entries.append((at, [line]))
        at = end
    body = end if blank else at
    entries = [(place, FIELD.match(b"".join(lines)), b"".join(lines)) for place, lines in entries]
    if in_multipart and begin == 0 and entries and not entries[0][1]:
        return [], [], raw
    while entries and not entries[-1][1]:  # what no field comes after is body
        body = entries.pop()[0]
    fields = [(m.group(1).decode("ascii"), m.group(2)) for _, m, _ in entries if m]
    return fields, [line for _, m, line in entries if not m], raw[body:]


def ends_header(line, entries):
    """Whether a line in a header is the boundary that the header names: its blank line is missing."""
    fields = [FIELD.match(b"".join(lines)) for _, lines in entries]
    boundary = Part([(m.group(1).decode("ascii"), m.group(2)) for m in fields if m], b"", "").boundary
    return bool(boundary and delimiter(boundary).match(line))


def delimiter(boundary):
    return re.compile(rb"(?:\A|(?<=\n))--" + re.escape(boundary) + rb"(--)?[ \t\r]*(?:\n|\Z)")


def cut(body, boundary):
    """The parts of a multipart's body. The line end before a boundary is the boundary's."""
    parts, start = [], None
    for m in delimiter(boundary).finditer(body):
        if start is not None:
            part = body[start:m.start()]
            if is_boundary_of(part, m.group()):
                continue
            parts.append(re.sub(rb"\r?\n\Z", b"", part))
        start = m.end()
        if m.group(1):
            return parts
    return parts + ([body[start:]] if start is not None else [])


def is_boundary_of(part, line):
    """Whether a boundary of ours is one of the multipart that is open in it, and so belongs to that."""
    if b"boundary" not in part[:4096].lower():
        return False
    fields, _, _ = split(part, True)
    inner = Part(fields, b"", "").boundary
    return bool(inner and delimiter(inner).match(line))


class Part:
    """A part's type, encoding and names; `email` takes the parameters apart."""

    def __init__(self, fields, body, default):
        self.fields, self.body = fields, body
        message = email.message.Message()
        for name, value in fields:
            value = re.sub(rb"[\r\n\0]", b"", value).strip(b" \t")
            if name.lower().startswith("content-") and name not in message:
                message[name] = value.decode("latin-1")
        m = TYPE.match(message.get("content-type", ""))
        self.kind = (m.group(1) + "/" + m.group(2)).lower() if m else default
        if m:  # with the semicolon that some leave out
            message.replace_header("content-type", self.kind + "; " + m.string[m.end():])
        self.names = file_names(message, latin1)
        self.description = decode_value(latin1(message.get("content-description", "")))
        self.charset = message.get_content_charset()
        self.encoding = re.match(r"\s*([^\s;,(]*)", message.get("content-transfer-encoding", "")).group(1).strip("\"'.").lower()
        self.boundary = None
        if self.kind.startswith("multipart/") and (b := message.get_param("boundary")):
            self.boundary = latin1(email.utils.collapse_rfc2231_value(b).rstrip(" \t"))

    def octets(self):
        if self.encoding in BASE64:
            return from_base64(self.body)
        if self.encoding in QUOTED:
            return from_quoted_printable(self.body)
        message = email.message.Message()  # which knows uuencode
        message["Content-Transfer-Encoding"] = self.encoding
        message.set_payload(self.body.decode("ascii", "surrogateescape"))
        return message.get_payload(decode=True)


class Rules:
    """A message as docs/search.md says."""

    MOST_ENCODED, MOST_LEVELS = 5, 100

    def __init__(self, raw):
        self.bodies = []
        fields, junk, body = split(raw, False)
        self.headers = [(n.lower(), header_line(n, v)) for n, v in fields]
        self.sent = written_day((first(fields, "date") or b"").decode("latin-1"))
        self.junk(junk)
        self.part(Part(fields, body, "text/plain"), 0, False)

    def add(self, text):
        if text.strip(WHITE):
            self.bodies.append(fold(text))

    def junk(self, lines):
        for line in lines:
            self.add(decode_value(line.strip(b" \t\r\n\0")))

    def inner(self, raw, depth, level):
        """A message within the message."""
        fields, junk, body = split(raw, False)
        self.bodies += [header_line(n, v) for n, v in fields]
        self.junk(junk)
        self.part(Part(fields, body, "text/plain"), depth, False, level)

    def part(self, p, depth, in_multipart, level=1):
        for name in p.names:
            self.add(name)
        if in_multipart:
            self.add(p.description)
        deeper, encoded = level < self.MOST_LEVELS, p.encoding not in IDENTITY
        children = cut(p.body, p.boundary) if p.boundary and deeper else []
        for child in children:
            default = "message/rfc822" if p.kind == "multipart/digest" else "text/plain"
            fields, junk, body = split(child, True)
            self.junk(junk)
            self.part(Part(fields, body, default), depth, True, level + 1)
        if p.kind in WHOLE_MESSAGE and deeper and not encoded:
            self.inner(p.body, depth, level + 1)
        elif p.kind in WHOLE_MESSAGE and encoded and depth < self.MOST_ENCODED:
            self.inner(p.octets(), depth + 1, 1)
        elif p.kind in WHOLE_MESSAGE:
            self.add(part_text(p.octets(), None, p.kind, seen_text))
        elif not children and (p.kind.split("/")[0] in ("text", "message", "multipart") or p.kind in HTML):
            self.add(part_text(p.octets(), p.charset, p.kind, seen_text))
