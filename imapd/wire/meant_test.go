package wire

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"teraslot/mailbox"
)

// drawForm writes a string as a client may: an atom where it is one, quoted, or a literal of
// either kind (RFC 9051 §9, astring).
func drawForm(t *rapid.T, value string) string {
	kind := rapid.IntRange(0, 3).Draw(t, "form")
	switch {
	case kind == 0 && value != "" && strings.Trim(value, "abcXYZ019.-_&+/]") == "":
		return value
	case kind <= 1 && !strings.ContainsAny(value, "\r\n"):
		return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(value) + `"`
	case kind == 2:
		return fmt.Sprintf("{%d+}\r\n%s", len(value), value)
	}
	return fmt.Sprintf("{%d}\r\n%s", len(value), value)
}

// drawArgument makes an astring.
func drawArgument(t *rapid.T) (value, text string) {
	value = rapid.OneOf(rapid.SampledFrom([]string{"", "a", "NIL", "a]b", `a"b\c`, "{5}", "a b", "(x", "\r\nb LOGOUT\r\n", "\xff"}), rapid.Custom(drawString)).Draw(t, "value")
	return value, drawForm(t, value)
}

// drawMailbox makes a mailbox's name, which is sent in modified UTF-7.
func drawMailbox(t *rapid.T) (name, text string) {
	name = drawName(t)
	return name, drawForm(t, string(AppendUTF7(nil, name)))
}

// drawCase writes a word in any case.
func drawCase(t *rapid.T, word string) string {
	return rapid.SampledFrom([]string{word, strings.ToLower(word), strings.ToUpper(word[:1]) + strings.ToLower(word[1:])}).Draw(t, "case")
}

func drawUID(t *rapid.T) (uid bool, prefix string) {
	if uid = rapid.Bool().Draw(t, "uid"); uid {
		return uid, "UID "
	}
	return uid, ""
}

// commandsMeant draw a command and its text.
var commandsMeant = []func(*rapid.T) (Command, string){
	func(t *rapid.T) (Command, string) {
		user, u := drawArgument(t)
		password, p := drawArgument(t)
		return &Login{user, password}, drawCase(t, "LOGIN") + " " + u + " " + p
	},
	func(t *rapid.T) (Command, string) {
		name, text := drawMailbox(t)
		all := map[string]Command{"SELECT": &Select{Mailbox: name}, "EXAMINE": &Select{Mailbox: name, ReadOnly: true}, "CREATE": &Create{Mailbox: name},
			"DELETE": &Delete{name}, "SUBSCRIBE": &Subscribe{name}, "UNSUBSCRIBE": &Unsubscribe{name}}
		word := rapid.SampledFrom([]string{"SELECT", "EXAMINE", "CREATE", "DELETE", "SUBSCRIBE", "UNSUBSCRIBE"}).Draw(t, "command")
		return all[word], drawCase(t, word) + " " + text
	},
	func(t *rapid.T) (Command, string) {
		from, a := drawMailbox(t)
		to, b := drawMailbox(t)
		return &Rename{from, to}, drawCase(t, "RENAME") + " " + a + " " + b
	},
	func(t *rapid.T) (Command, string) {
		reference, a := drawMailbox(t)
		pattern, b := drawMailbox(t)
		if rapid.Bool().Draw(t, "lsub") {
			return &Lsub{reference, pattern}, drawCase(t, "LSUB") + " " + a + " " + b
		}
		return &List{Reference: reference, Patterns: []string{pattern}}, drawCase(t, "LIST") + " " + a + " " + b
	},
	func(t *rapid.T) (Command, string) {
		name, text := drawMailbox(t)
		items := rapid.SliceOfNDistinct(rapid.SampledFrom([]StatusItem{StatusMessages, StatusRecent, StatusUIDNext, StatusUnseen, StatusSize, StatusDeleted}), 1, 6,
			rapid.ID[StatusItem]).Draw(t, "items")
		words := make([]string, len(items))
		for i, item := range items {
			words[i] = drawCase(t, string(item))
		}
		return &Status{name, items}, "STATUS " + text + " (" + strings.Join(words, " ") + ")"
	},
	func(t *rapid.T) (Command, string) {
		uid, prefix := drawUID(t)
		s, set := drawSet(t)
		name, text := drawMailbox(t)
		if rapid.Bool().Draw(t, "move") {
			return &Move{uid, s, name}, prefix + drawCase(t, "MOVE") + " " + set + " " + text
		}
		return &Copy{uid, s, name}, prefix + drawCase(t, "COPY") + " " + set + " " + text
	},
	func(t *rapid.T) (Command, string) {
		uid, prefix := drawUID(t)
		s, set := drawSet(t)
		c := &Store{UID: uid, Set: s, Op: StoreOp(rapid.IntRange(0, 2).Draw(t, "op")), Silent: rapid.Bool().Draw(t, "silent")}
		c.Flags = rapid.SliceOfN(rapid.SampledFrom([]string{`\Seen`, `\Deleted`, "$Junk", "[Gmail]", "work", "NIL"}), 0, 4).Draw(t, "flags")
		flags := "(" + strings.Join(c.Flags, " ") + ")"
		if len(c.Flags) > 0 && rapid.Bool().Draw(t, "bare") {
			flags = strings.Join(c.Flags, " ")
		}
		return c, prefix + "STORE " + set + " " + []string{"FLAGS", "+FLAGS", "-flags"}[c.Op] + map[bool]string{true: ".SILENT"}[c.Silent] + " " + flags
	},
	func(t *rapid.T) (Command, string) {
		uid, prefix := drawUID(t)
		s, set := drawSet(t)
		item, text := drawSection(t)
		return &Fetch{UID: uid, Set: s, Items: []FetchItem{{Attr: FetchFlags, Peek: true}, item}}, prefix + "FETCH " + set + " (" + drawCase(t, "FLAGS") + " " + text + ")"
	},
	func(t *rapid.T) (Command, string) { // RFC 7162 §7, select-param
		name, text := drawMailbox(t)
		c := &Select{Mailbox: name, CondStore: rapid.Bool().Draw(t, "condstore"), QResync: &QResync{UIDValidity: mailbox.UIDValidity(rapid.Uint32Min(1).Draw(t, "validity"))}}
		word := drawCase(t, "SELECT") + " " + text + " ("
		if c.CondStore {
			word += drawCase(t, "CONDSTORE") + " "
		}
		c.QResync.ModSeq = max(drawModSeq(t), 1)
		word += fmt.Sprintf("%s (%d %d", drawCase(t, "QRESYNC"), c.QResync.UIDValidity, c.QResync.ModSeq)
		if rapid.Bool().Draw(t, "known") {
			known := drawUIDs(t)
			c.QResync.Known = &known
			word += " " + known.String()
		}
		if rapid.Bool().Draw(t, "sample") {
			numbers, uids := drawSample(t)
			c.QResync.MatchNumbers, c.QResync.MatchUIDs = setOf(numbers), setOf(uids)
			word += " (" + numbers.String() + " " + uids.String() + ")"
		}
		return c, word + "))"
	},
	func(t *rapid.T) (Command, string) { // store-modifier
		uid, prefix := drawUID(t)
		s, set := drawSet(t)
		since := uint64(drawModSeq(t))
		return &Store{UID: uid, Set: s, Op: StoreAdd, Silent: true, Flags: []string{`\Seen`}, UnchangedSince: &since},
			fmt.Sprintf(`%sSTORE %s (%s %d) +FLAGS.SILENT (\Seen)`, prefix, set, drawCase(t, "UNCHANGEDSINCE"), since)
	},
	func(t *rapid.T) (Command, string) { // fetch-modifier, in either order
		s, set := drawSet(t)
		c := &Fetch{UID: true, Set: s, Items: []FetchItem{{Attr: FetchModSeq, Peek: true}}, ChangedSince: max(drawModSeq(t), 1), Vanished: rapid.Bool().Draw(t, "vanished")}
		modifiers := []string{fmt.Sprintf("%s %d", drawCase(t, "CHANGEDSINCE"), c.ChangedSince)}
		if c.Vanished {
			modifiers = append(modifiers, drawCase(t, "VANISHED"))
		}
		if rapid.Bool().Draw(t, "turned") {
			slices.Reverse(modifiers)
		}
		return c, fmt.Sprintf("UID FETCH %s (%s) (%s)", set, drawCase(t, "MODSEQ"), strings.Join(modifiers, " "))
	},
	func(t *rapid.T) (Command, string) { // search-modsequence
		uid, prefix := drawUID(t)
		key := ModSeq{Value: drawModSeq(t)}
		text := fmt.Sprint(uint64(key.Value))
		if rapid.Bool().Draw(t, "entry") {
			key.Entry = "/flags/" + rapid.SampledFrom([]string{`\seen`, `\Answered`, "$MDNSent", "work"}).Draw(t, "flag")
			key.Type = rapid.SampledFrom([]string{"priv", "shared", "all"}).Draw(t, "type")
			text = `"` + strings.ReplaceAll(key.Entry, `\`, `\\`) + `" ` + drawCase(t, key.Type) + " " + text
		}
		return &Search{UID: uid, Criteria: Criteria{Key: And{key}}}, prefix + "SEARCH " + drawCase(t, "MODSEQ") + " " + text
	},
	func(t *rapid.T) (Command, string) {
		s, set := drawSet(t)
		return &Expunge{&s}, "UID " + drawCase(t, "EXPUNGE") + " " + set
	},
}

// drawSample makes sequence numbers and as many UIDs.
func drawSample(t *rapid.T) (numbers, uids mailbox.UIDSet) {
	n, u := mailbox.UID(0), mailbox.UID(0)
	for range rapid.IntRange(1, 12).Draw(t, "pairs") {
		step := rapid.IntRange(1, 3).Draw(t, "step")
		n += mailbox.UID(step)
		u += mailbox.UID(step + rapid.IntRange(0, 3).Draw(t, "gone"))
		numbers.Add(n)
		uids.Add(u)
	}
	return numbers, uids
}

// setOf is a set as it is sent by its ranges.
func setOf(set mailbox.UIDSet) (out Set) {
	for _, r := range set.Ranges() {
		out.Ranges = append(out.Ranges, SetRange{uint32(r.Lo), uint32(r.Hi)})
	}
	return out
}

// TestPairs: the n-th number of one set goes with the n-th of the other, however they are cut into ranges; sets of all
// numbers cost what is taken of them.
func TestPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers, uids := drawSample(t)
		left, right := slices.Collect(numbers.All()), slices.Collect(uids.All())
		i := 0
		for n, u := range Pairs(setOf(numbers), setOf(uids)) {
			if mailbox.UID(n) != left[i] || u != right[i] {
				t.Fatalf("pair %d of %s and %s is %d, %d", i, numbers, uids, n, u)
			}
			i++
		}
		if i != len(left) {
			t.Fatalf("%d pairs of %s and %s", i, numbers, uids)
		}
	})
	all := Set{Ranges: []SetRange{{4294967290, 4294967295}}}
	count := 0
	for n, u := range Pairs(all, all) {
		if uint32(u) != n {
			t.Errorf("%d goes with %d", n, u)
		}
		count++
	}
	if count != 6 {
		t.Errorf("%d pairs", count)
	}
	for n := range Pairs(Set{Ranges: []SetRange{{1, 4294967295}}}, Set{Ranges: []SetRange{{1, 4294967295}}}) {
		if n == 3 {
			break
		}
	}
}

// drawSection makes BODY[…] or BINARY[…] with all that may stand in it.
func drawSection(t *rapid.T) (FetchItem, string) {
	item := FetchItem{Attr: FetchSection, Peek: rapid.Bool().Draw(t, "peek")}
	word := "BODY"
	if rapid.IntRange(0, 3).Draw(t, "binary") == 0 {
		item.Attr, word = FetchBinary, "BINARY"
	}
	if item.Peek {
		word += ".PEEK"
	}
	item.Section.Part = rapid.SliceOfN(rapid.Uint32Min(1), 0, 4).Draw(t, "part")
	if len(item.Section.Part) == 0 {
		item.Section.Part = nil
	}
	text := strings.Trim(strings.ReplaceAll(fmt.Sprint(item.Section.Part), " ", "."), "[]")
	if item.Attr == FetchSection && rapid.Bool().Draw(t, "text") {
		item.Section.Text = SectionText(rapid.IntRange(1, len(sectionNames)-1).Draw(t, "which"))
		if item.Section.Text == SectionMIME && text == "" {
			item.Section.Text = SectionBody
		}
		if text != "" {
			text += "."
		}
		text += drawCase(t, sectionNames[item.Section.Text])
		if item.Section.Text == SectionHeaderFields || item.Section.Text == SectionHeaderNot {
			var fields []string
			for range rapid.IntRange(1, 3).Draw(t, "fields") {
				value, form := drawArgument(t)
				item.Section.Fields, fields = append(item.Section.Fields, value), append(fields, form)
			}
			text += " (" + strings.Join(fields, " ") + ")"
		}
	}
	text = drawCase(t, word) + "[" + text + "]"
	if rapid.Bool().Draw(t, "partial") {
		item.Span = &Span{Offset: rapid.Int64Min(0).Draw(t, "offset"), Length: rapid.Int64Min(1).Draw(t, "length")}
		text += fmt.Sprintf("<%d.%d>", item.Span.Offset, item.Span.Length)
	}
	return item, text
}

// TestAnyCommandIsReadAsItWasMeant: strings in each of their forms, words in any case, sets,
// sections: what is read is what the client meant, and the command behind it is read as well.
func TestAnyCommandIsReadAsItWasMeant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, text := rapid.SampledFrom(commandsMeant).Draw(t, "draw")(t)
		r := NewReader(strings.NewReader("a "+text+"\r\nb NOOP\r\n"), Options{})
		got, err := r.Next()
		if err != nil || got.Tag != "a" || !reflect.DeepEqual(got.Command, want) {
			t.Fatalf("%q: %v\ngot  %#v\nwant %#v", text, err, got.Command, want)
		}
		if next, err := r.Next(); err != nil || next.Tag != "b" {
			t.Fatalf("behind %q: %v, %v", text, next, err)
		}
		// Cut anywhere it is no command, and never another one than it was.
		cut := rapid.IntRange(0, len(text)).Draw(t, "cut")
		if other, err := parse(text[:cut], false); err == nil && cut < len(text) && other.Name() != want.Name() && !strings.HasPrefix(want.Name(), "UID ") {
			t.Fatalf("%q is taken for %s", text[:cut], other.Name())
		}
	})
}
