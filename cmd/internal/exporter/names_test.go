package exporter

import (
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"teraslot/imapd/wire"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// names draws mailbox names that are hard to make files of.
func names() *rapid.Generator[string] {
	level := rapid.OneOf(
		rapid.SampledFrom([]string{"INBOX", ".", "..", "cur", "tmp", "a.mbox", "a%2Embox", "%", "%7E", `\7e`, ".a", "%2Ea", `\`, `\2e`, "&", "&-", "~", "Grüße", "日本", "😀",
			ledgerFile, lockFile, ledgerFile + ".new", "a.b", "dovecot-uidlist", "subscriptions", ".json"}),
		rapid.StringMatching(`[a-c.%\\&]{1,4}`),
		// Too long by itself, or with others; alike but for the end.
		rapid.Map(rapid.StringMatching(`[ü.%b]{1,2}`), func(end string) string { return strings.Repeat("ab.ü%", 15) + end }),
		rapid.Map(rapid.StringMatching(`[a-c]{1,2}`), func(end string) string { return strings.Repeat("x", 245) + end }))
	return rapid.Map(rapid.SliceOfN(level, 1, 4), func(levels []string) string { return strings.Join(levels, "/") })
}

// TestPaths: different mailboxes have different files, in both forms, none of which
// is in the way of another or of the export's own; and the names come back.
func TestPaths(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var clean [2]string
		for i := range clean {
			var err error
			if clean[i], err = mailstore.CleanName(names().Draw(t, "name")); err != nil {
				t.Skip(err)
			}
		}
		for _, format := range []Format{Maildir, Mbox} {
			var paths [2]string
			for i, name := range clean {
				paths[i] = mailboxPath(format, name)
				for part := range strings.SplitSeq(paths[i], "/") {
					if len(part)+len(".new") > maxFileName {
						t.Fatalf("%q is too long", part)
					}
				}
				if !filepath.IsLocal(paths[i]) || paths[i] != "." && filepath.Clean(paths[i]) != paths[i] {
					t.Fatalf("%q", paths[i])
				}
				if first, _, _ := strings.Cut(paths[i], "/"); first == ledgerFile || first == lockFile || first == ledgerFile+".new" {
					t.Fatalf("%s is in the way", first)
				}
				if format == Maildir && paths[i][0] != '.' {
					t.Fatalf("%q is no folder", paths[i])
				}
				if got, whole := nameOf(t, format, paths[i]); whole && got != name {
					t.Fatalf("%q is %q, which is %q", name, paths[i], got)
				}
			}
			if clean[0] != clean[1] && paths[0] == paths[1] {
				t.Fatalf("%q and %q are both %q", clean[0], clean[1], paths[0])
			}
			// A file where another mailbox needs a directory.
			if format == Mbox && strings.HasPrefix(paths[0], paths[1]+"/") {
				t.Fatalf("%q and %q", paths[0], paths[1])
			}
		}
	})
}

// TestLongNames: names that are too long for files' and differ at their ends only have
// paths of their own.
func TestLongNames(t *testing.T) {
	for _, long := range []string{strings.Repeat("a", 300), strings.Repeat("a/", 150), strings.Repeat("ä", 200), "a/" + strings.Repeat("b", 400)} {
		for _, format := range []Format{Maildir, Mbox} {
			a, b := mailboxPath(format, long+"x"), mailboxPath(format, long+"y")
			if a == b {
				t.Errorf("%v: %q… and another are both %q", format, long[:10], a)
			}
		}
	}
}

// nameOf takes a path back to a name, unless it has not all of it.
func nameOf(t *rapid.T, format Format, path string) (name string, whole bool) {
	if isShortened(format, path) {
		return "", false
	}
	if format == Mbox {
		path = strings.TrimSuffix(path, mboxEnding)
		return strings.NewReplacer("%25", "%", "%2E", ".").Replace(path), true
	}
	if path == "." {
		return mailstore.Inbox, true
	}
	levels := strings.Split(path[1:], ".")
	for i, level := range levels {
		decoded, ok := wire.DecodeUTF7(level)
		if !ok {
			t.Fatalf("%q is not modified UTF-7", level)
		}
		levels[i] = strings.NewReplacer(`\5c`, `\`, `\2e`, ".").Replace(decoded)
	}
	return strings.Join(levels, "/"), true
}

// TestFileNames: what is written is read back, and nothing else is taken for it.
func TestFileNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rec := mailbox.Record{UID: mailbox.UID(rapid.Uint32().Draw(t, "uid")), GUID: mailbox.GUIDOf([]byte(rapid.String().Draw(t, "message")))}
		rec.InternalDate.Unix = rapid.Int64().Draw(t, "date")
		want := fileName{uniqueName(mailbox.UIDValidity(rapid.Uint32().Draw(t, "validity")), &rec), rapid.Int64Min(0).Draw(t, "size"),
			rapid.Int64Min(0).Draw(t, "wide"), rapid.StringMatching(`[A-Za-z]{0,32}`).Draw(t, "flags")}
		got, ok := parseFileName(want.String())
		if !ok || got != want || len(want.String()) > maxFileName {
			t.Fatalf("%q is %+v, %v", want, got, ok)
		}
		if !uniqueParts(want.unique) {
			t.Fatal(want.unique)
		}
	})
	good := "5.U1V2G0123456789abcdef0123456789abcdef.teraslot,S=1,W=2:2,S"
	if _, ok := parseFileName(good); !ok {
		t.Error(good)
	}
	for _, bad := range []string{"", "1.a:2,S", strings.TrimSuffix(good, ":2,S"), "x" + good, strings.Replace(good, "abc", "ABC", 1), strings.Replace(good, "S=1", "S=01", 1),
		strings.Replace(good, "teraslot", "elsewhere", 1), strings.Replace(good, ".teraslot", "0.teraslot", 1), strings.Replace(good, ",W=2", "", 1),
		strings.Replace(good, "S=1", "1", 1), strings.Replace(good, "W=2", "W=x", 1), strings.Replace(good, "U1", "U-1", 1)} {
		if _, ok := parseFileName(bad); ok {
			t.Errorf("%q was taken for the export's", bad)
		}
	}
}

// FuzzFileNames: no name in a directory makes parsing fail, and what is taken is
// what String makes.
func FuzzFileNames(f *testing.F) {
	f.Add("5.U1V2G0123456789abcdef0123456789abcdef.teraslot,S=1,W=2:2,S")
	f.Add("1.a:2,S")
	f.Fuzz(func(t *testing.T, name string) {
		if got, ok := parseFileName(name); ok && got.String() != name {
			t.Errorf("%q is %+v", name, got)
		}
	})
}

// TestLetters: letters keep their meaning, are given by use, and are in the order
// of ASCII.
func TestLetters(t *testing.T) {
	rec := func(flags ...string) mailbox.Record { return mailbox.Record{Flags: mailbox.MakeFlags(flags...)} }
	var k keywords
	k.names[0], k.names[3], k.names[4] = "unused", "Kept", "KEPT"
	recs := []mailbox.Record{rec("rare", "kept", "often"), rec("OFTEN", `\Seen`), rec("$FORWARDED", "K", "often")}
	if lost := k.assign(recs); len(lost) > 0 {
		t.Errorf("%v", lost)
	}
	// KEPT is Kept once more: its letter is free. Least used come last, by name.
	if want := [26]string{"unused", "often", "$FORWARDED", "Kept", "K", "rare"}; k.names != want {
		t.Errorf("%q", k.names)
	}
	for flags, want := range map[string]string{
		"": "", `\Seen \Draft \Deleted \Answered \Flagged`: "DFRST", "rare OFTEN kept": "bdf", "$Forwarded": "Pc", "unused K": "e", "\u212a": "",
	} {
		if got := k.letters(mailbox.MakeFlags(strings.Fields(flags)...)); got != want {
			t.Errorf("%s is %q, not %q", flags, got, want)
		}
	}
	// Letters of what no message has are given away when no others are left.
	var many []string
	for c := 'A'; c < 'A'+22; c++ {
		many = append(many, "x"+string(c))
	}
	if lost := k.assign(append(recs, rec(many...))); len(lost) != 1 || lost["xV"] != 1 {
		t.Errorf("%v, %q", lost, k.names)
	}
}
