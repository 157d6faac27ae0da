package tiers

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"teraslot/mailbox"
	"teraslot/text"
)

// phraseDocs are documents of few words that are like each other, so that borders of
// other words look like those of a phrase.
func phraseDocs(r *rand.Rand, n int) []Doc {
	vocabulary := strings.Fields("a of the them thenes thing things nothing xthing thingx linux minux kernel kernels - _ , .")
	docs := make([]Doc, n)
	for i := range docs {
		var b strings.Builder
		for range 4 + r.IntN(30) {
			b.WriteString(vocabulary[r.IntN(len(vocabulary))])
			b.WriteString([]string{" ", " ", " ", ""}[r.IntN(4)])
		}
		docs[i] = Doc{GUID: mailbox.GUIDOf([]byte(fmt.Sprint("phrase", i))), Complete: true, Units: []text.Unit{
			text.HeaderUnit("Subject", vocabulary[r.IntN(len(vocabulary))]+" "+vocabulary[r.IntN(len(vocabulary))]),
			text.BodyUnit(b.String())}}
	}
	return docs
}

// Phrases are proved where the index can, over all segments, and what it leaves open is
// decided by the text: both as a scan would.
func TestPhrasesAreProved(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 11))
	docs := phraseDocs(r, 300)
	x := newSet(t, testOptions(t.TempDir())).User(testUser)
	commit(t, x, docs[:200]...)
	commit(t, x, docs[200:]...)
	proved, open := uint64(0), uint64(0)
	for range 400 {
		body := []rune(docs[r.IntN(len(docs))].Units[1].Text)
		from := r.IntN(len(body))
		k := text.NewKey(text.InBody, "", "")
		k.Pattern = string(body[from:min(len(body), from+2+r.IntN(16))])
		sure, maybe := lookUp(t, x, k)
		proved, open = proved+sure, open+maybe
	}
	if proved < open || open == 0 {
		t.Errorf("%d matches were proved, %d candidates were not", proved, open)
	}
}

// Words of two letters only are the beginnings and ends of each other, and stand in
// texts more than once: what is proved of phrases of them is so.
func TestPhrasesOfWordsInWords(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 12))
	proved := uint64(0)
	for round := range 3 {
		vocabulary := make([]string, 5)
		for i := range vocabulary {
			for range 1 + r.IntN(6) {
				vocabulary[i] += string("ab"[r.IntN(2)])
			}
		}
		words := func(n int) string {
			all := make([]string, n)
			for i := range all {
				all[i] = vocabulary[r.IntN(len(vocabulary))]
			}
			return strings.Join(all, " ")
		}
		docs := make([]Doc, 120)
		for i := range docs {
			docs[i] = Doc{GUID: mailbox.GUIDOf([]byte(fmt.Sprint("words", round, i))), Complete: true,
				Units: []text.Unit{text.BodyUnit(words(1 + r.IntN(7))), text.BodyUnit(words(r.IntN(4)))}}
		}
		x := newSet(t, testOptions(t.TempDir())).User(testUser)
		commit(t, x, docs...)
		for range 150 {
			k := text.NewKey(text.InBody, "", words(2+r.IntN(3)))
			from := r.IntN(min(3, len(k.Pattern)))
			k.Pattern = k.Pattern[from : len(k.Pattern)-r.IntN(min(3, len(k.Pattern)-from))]
			sure, _ := lookUp(t, x, k)
			proved += sure
		}
	}
	if proved == 0 {
		t.Error("nothing was proved")
	}
}

// lookUp compares what the index says of a key with the documents' texts.
func lookUp(t *testing.T, x *Index, k text.Key) (proved, open uint64) {
	t.Helper()
	s, err := x.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sure, maybe, err := s.Match(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	texts := s.Texts()
	for doc := range s.Docs() {
		units, ok, err := s.Units(t.Context(), doc)
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		want := k.Match(units)
		if sure.Contains(doc) && !want || want && !sure.Contains(doc) && !maybe.Contains(doc) {
			t.Fatalf("%+v: document %d, sure %v, maybe %v, want %v: %q", k, doc, sure.Contains(doc), maybe.Contains(doc), want, units)
		}
		if got, ok, err := texts.Match(t.Context(), doc, k); got != want || !ok || err != nil {
			t.Fatalf("%+v: the text of document %d says %v (%v, %v), want %v", k, doc, got, ok, err, want)
		}
	}
	return sure.GetCardinality(), maybe.GetCardinality()
}

// A phrase of two words is decided by the index alone; so is one of three whose middle
// word a message has once.
func TestPhraseNeedsNoText(t *testing.T) {
	x := newSet(t, testOptions(t.TempDir())).User(testUser)
	var docs []Doc
	for i := range 40 {
		body := fmt.Sprintf("number %d: the linux kernel of this list", i)
		if i%2 == 0 {
			body = fmt.Sprintf("number %d: the linux list of this kernel", i)
		}
		docs = append(docs, Doc{GUID: mailbox.GUIDOf([]byte(body)), Complete: true, Units: []text.Unit{text.BodyUnit(body)}})
	}
	commit(t, x, docs...)
	for pattern, want := range map[string]uint64{"linux kernel": 20, "inux kerne": 20, "the linux kernel": 20, "kernel of this list": 20, "this": 40} {
		if sure, maybe := lookUp(t, x, text.NewKey(text.InBody, "", pattern)); sure != want || maybe != 0 {
			t.Errorf("%q: %d are sure and %d to be verified, want %d and none", pattern, sure, maybe, want)
		}
	}
}

// A message that has all borders of a phrase, but of two occurrences of its middle word,
// is no match, and is not taken for one.
func TestRepeatedWordIsInDoubt(t *testing.T) {
	x := newSet(t, testOptions(t.TempDir())).User(testUser)
	var docs []Doc
	for i := range 3 * few {
		body := fmt.Sprintf("number %d: see the list and read the kernel", i)
		if i%3 == 0 {
			body = fmt.Sprintf("number %d: see the kernel", i)
		}
		docs = append(docs, Doc{GUID: mailbox.GUIDOf([]byte(body)), Complete: true, Units: []text.Unit{text.BodyUnit(body)}})
	}
	commit(t, x, docs...)
	if sure, maybe := lookUp(t, x, text.NewKey(text.InBody, "", "see the kernel")); sure != few || maybe != 2*few {
		t.Errorf("%d are sure and %d to be verified, want %d and %d", sure, maybe, few, 2*few)
	}
}

// Few documents of each of many header fields would be many to verify.
func TestFewOfManyFields(t *testing.T) {
	x := newSet(t, testOptions(t.TempDir())).User(testUser)
	var docs []Doc
	for i := range 200 {
		name := fmt.Sprintf("X-Field-%d", i)
		docs = append(docs, Doc{GUID: mailbox.GUIDOf([]byte(name)), Complete: true, Units: []text.Unit{
			text.HeaderUnit(name, fmt.Sprintf("a@host%d.example", i)), text.BodyUnit("text")}})
	}
	commit(t, x, docs...)
	if sure, maybe := lookUp(t, x, text.NewKey(text.InText, "", "host7.example")); sure+maybe != 1 {
		t.Errorf("%d and %d candidates, want one", sure, maybe)
	}
}

func TestMayBegin(t *testing.T) {
	for _, c := range []struct {
		line, name string
		want       bool
	}{
		{"SUBJECT: A", "subject", true}, {"SUBJECT:", "subject", true}, {"SUBJECT", "subject", false}, {"SUBJ", "subject", false},
		{"SUBJECTS: A", "subject", false}, {"TO: A", "subject", false}, {"", "subject", false}, {"", "", false}, {": A", "", true},
		{"X_-: A", "x_-", true}, {"É: A", "e", true}, {"X: A", "é", true},
	} {
		if got := mayBegin(c.line, c.name); got != c.want || c.line != "" && strings.Contains(c.line, ":") && lineName(c.line) == c.name && !got {
			t.Errorf("%q may be a field %q: %v, want %v", c.line, c.name, got, c.want)
		}
	}
}
