package message

import (
	"bytes"
	"fmt"
	"io"
	"net/mail"
	"net/textproto"
	"strings"
	"testing"

	gomessage "github.com/emersion/go-message"
)

// leaf is a part as two parsers should agree on it.
type leaf struct{ kind, body string }

// ourLeaves are a message's leaves, transfer encoding undone. A message within it
// counts as a leaf, as go-message has it.
func ourLeaves(t *testing.T, raw []byte) (leaves []leaf) {
	t.Helper()
	r := bytes.NewReader(raw)
	s, err := Parse(r, int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	var walk func(*Part)
	walk = func(p *Part) {
		for _, c := range p.Children {
			walk(c)
		}
		if len(p.Children) > 0 {
			return
		}
		b, err := io.ReadAll(DecodedPart(r, p))
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leaf{p.Type + "/" + p.Subtype, string(b)})
	}
	walk(s.Root)
	return leaves
}

// theirLeaves are go-message's.
func theirLeaves(raw []byte) (leaves []leaf, err error) {
	e, err := gomessage.Read(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	err = e.Walk(func(_ []int, e *gomessage.Entity, err error) error {
		if err != nil {
			return err
		}
		t, _, err := e.Header.ContentType()
		if err != nil {
			return err
		}
		if e.MultipartReader() != nil {
			return nil
		}
		b, err := io.ReadAll(e.Body)
		leaves = append(leaves, leaf{t, string(b)})
		return err
	})
	return leaves, err
}

// crlf gives all lines the same end, and the last one none, since the two differ
// on how they treat it within encodings.
func crlf(s string) string { return strings.TrimRight(strings.ReplaceAll(s, "\r\n", "\n"), " \n") }

// judged are the messages on whose parts we differ from go-message, and why.
var judged = map[string]string{
	"ending-boundaries.msg":            "no part in a multipart: its text is a leaf of ours",
	"multipartnopart.msg":              "no part in a multipart: its text is a leaf of ours",
	"missing-inner-start-boundary.msg": "no part in a multipart: its text is a leaf of ours",
	"very-long-boundary.msg":           "a boundary that ends with spaces, which RFC 2046 forbids: they mean nothing to us",
	"weird-boundary.msg":               "a boundary that ends with spaces, which RFC 2046 forbids: they mean nothing to us",
	"eml_thirdparty_001.eml":           "go-message misses a boundary behind a lone CR",
}

func isJudged(name string) bool {
	for suffix := range judged {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// TestAgainstGoMessage compares structure and decoded bodies over the corpora,
// wherever go-message takes a message apart without an error.
func TestAgainstGoMessage(t *testing.T) {
	defer func(old func(string, io.Reader) (io.Reader, error)) { gomessage.CharsetReader = old }(gomessage.CharsetReader)
	gomessage.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	same, known, failed := 0, 0, 0
	for _, archive := range archives {
		corpus(t, archive, func(name string, raw []byte) {
			if isMboxLine(raw) {
				_, raw = cutLine(raw)
			}
			theirs, err := theirLeaves(raw)
			if err != nil {
				failed++
				return
			}
			switch diff := compareLeaves(ourLeaves(t, raw), theirs); {
			case diff == "":
				same++
			case isJudged(name):
				known++
			default:
				t.Errorf("%s: %s", name, diff)
			}
		})
	}
	t.Logf("%d messages agree, %d differ for known reasons, go-message fails on %d", same, known, failed)
	if same < 6000 || known != len(judged) {
		t.Errorf("%d messages agree, %d differ for %d known reasons", same, known, len(judged))
	}
}

func compareLeaves(ours, theirs []leaf) string {
	if len(ours) != len(theirs) {
		return fmt.Sprintf("%d leaves, go-message has %d", len(ours), len(theirs))
	}
	for i := range ours {
		switch a, b := ours[i].kind, theirs[i].kind; {
		case a == b:
		case a == "message/rfc822" && b == "text/plain": // RFC 2046 §5.1.5, of which go-message does not know
		case a == "application/octet-stream" && b == "message/rfc822": // encoded: Degraded
		default:
			return fmt.Sprintf("leaf %d is %s, go-message says %s", i, ours[i].kind, theirs[i].kind)
		}
		if a, b := crlf(ours[i].body), crlf(theirs[i].body); a != b {
			return fmt.Sprintf("leaf %d (%s): %d and %d octets\nours   …%.80q\ntheirs …%.80q", i, ours[i].kind, len(a), len(b), tail(a), tail(b))
		}
	}
	return ""
}

func tail(s string) string { return s[max(0, len(s)-80):] }

// TestAgainstNetMail compares header fields and addresses.
func TestAgainstNetMail(t *testing.T) {
	headers, addresses := 0, 0
	for _, archive := range archives {
		corpus(t, archive, func(name string, raw []byte) {
			if isMboxLine(raw) {
				_, raw = cutLine(raw)
			}
			m, err := mail.ReadMessage(bytes.NewReader(raw))
			if err != nil {
				return
			}
			s, err := Parse(bytes.NewReader(raw), int64(len(raw)))
			if err != nil {
				t.Fatal(err)
			}
			ours := map[string][]string{}
			for f := range fields(raw[:s.Root.BodyStart]) {
				if f.name != nil {
					key := textproto.CanonicalMIMEHeaderKey(string(f.name))
					ours[key] = append(ours[key], words(unfold(f.value)))
				}
			}
			for key, values := range m.Header {
				for i, v := range values {
					if strings.IndexFunc(key, func(r rune) bool { return r <= ' ' || r >= 0x7F }) >= 0 {
						break // net/mail takes any octet for a name's
					}
					headers++
					if i >= len(ours[key]) || ours[key][i] != words(v) {
						t.Errorf("%s: %s is %q, net/mail says %q", name, key, ours[key], v)
					}
				}
			}
			if list, err := m.Header.AddressList("To"); err == nil && len(m.Header["To"]) == 1 {
				addresses++
				if got, want := plainAddresses(s.Envelope.To), netAddresses(list); got != want {
					t.Errorf("%s: To is %s, net/mail says %s", name, got, want)
				}
			}
		})
	}
	t.Logf("%d fields and %d address lists agree", headers, addresses)
	if headers < 100_000 || addresses < 4000 {
		t.Errorf("only %d fields and %d address lists", headers, addresses)
	}
}

func words(s string) string { return strings.Join(strings.Fields(s), " ") }

func plainAddresses(list []Address) string {
	var out []string
	for _, a := range list {
		if a.Kind == Mailbox {
			out = append(out, a.Mailbox+"@"+a.Host)
		}
	}
	return strings.Join(out, ",")
}

func netAddresses(list []*mail.Address) string {
	var out []string
	for _, a := range list {
		out = append(out, a.Address)
	}
	return strings.Join(out, ",")
}
