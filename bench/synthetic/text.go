package synthetic

import (
	"fmt"
	"strings"
)

// text writes what the author has to say, in lines, with a quote of what he
// answers before it.
func (d *draft) text() []string {
	var lines []string
	if d.answers && len(d.quote) > 0 {
		first := d.rand.IntN(len(d.quote))
		for _, line := range d.quote[first:min(len(d.quote), first+3+d.rand.IntN(14))] {
			if len(line) < 200 { // each answer makes it longer
				lines = append(lines, "> "+line)
			}
		}
		lines = append(lines, "")
	}
	for range 1 + d.rand.IntN(8) {
		lines = append(append(lines, d.paragraph()...), "")
	}
	switch d.kind = d.pickKind(); {
	case d.kind == Patch:
		lines = append(lines, d.patch()...)
	case d.rand.IntN(4) == 0:
		lines = append(lines, d.oops()...)
	}
	return append(lines, "-- ", d.from.name)
}

func (d *draft) pickKind() Kind {
	if d.files > 0 && d.rand.IntN(100) < d.files {
		return Attachment
	}
	switch n := d.rand.IntN(100); {
	case d.lexicon == d.lexica[0] && n < 45:
		return Patch
	case n < 91:
		return Plain
	case n < 97:
		return Alternative
	}
	return Attachment
}

// paragraph is a few sentences in lines of some 72 columns.
func (d *draft) paragraph() []string {
	var lines []string
	var line strings.Builder
	for range 20 + d.rand.IntN(70) {
		word := d.say()
		if line.Len()+len(word) > 72 {
			lines = append(lines, line.String())
			line.Reset()
		}
		if line.Len() > 0 {
			line.WriteString(d.lexicon.space)
		}
		line.WriteString(word)
	}
	return append(lines, line.String()+".")
}

// say is the next word: of the language, of the topic, or now and then something
// that is no word.
func (d *draft) say() string {
	switch n := d.rand.IntN(1000); {
	case n < 1:
		return fmt.Sprintf("https://lists.example.org/r/%d.%08x@%s", d.rand.IntN(9000), d.rand.Uint32(), d.from.host)
	case n < 2:
		return fmt.Sprintf("%012x", d.rand.Uint64()>>16)
	case n < 12:
		return fmt.Sprint(d.rand.IntN(2000))
	case n < 14:
		return []string{"😀", "->", "c++", "e.g.", "#42", "i.e.", "⇒", "½", "naïve", "Ｔｅｓｔ"}[d.rand.IntN(10)]
	case n < 90:
		return d.topic[d.rand.IntN(len(d.topic))]
	}
	w := d.lexicon.word()
	if d.rand.IntN(12) == 0 {
		w += []string{",", ".", "?", ";", ":"}[d.rand.IntN(5)]
	}
	return w
}

// patch is a change of code: its names are the topic's.
func (d *draft) patch() []string {
	name := func() string { return d.topic[d.rand.IntN(len(d.topic))] }
	file := fmt.Sprintf("drivers/%s/%s.c", name(), name())
	lines := []string{
		"---", " " + file + " | " + fmt.Sprint(1+d.rand.IntN(80)) + " +++---", "",
		"diff --git a/" + file + " b/" + file,
		fmt.Sprintf("index %012x..%012x 100644", d.rand.Uint64()>>16, d.rand.Uint64()>>16),
		"--- a/" + file, "+++ b/" + file,
	}
	for range 1 + d.rand.IntN(5) {
		at := d.rand.IntN(3000)
		lines = append(lines, fmt.Sprintf("@@ -%d,%d +%d,%d @@ static int %s_%s(struct %s *%s)", at, 6+d.rand.IntN(9), at+d.rand.IntN(40), 7+d.rand.IntN(9), name(), name(), name(), name()))
		for range 8 + d.rand.IntN(26) {
			lines = append(lines, d.code(name))
		}
	}
	return lines
}

func (d *draft) code(name func() string) string {
	sign := " +- "[d.rand.IntN(4)]
	switch d.rand.IntN(6) {
	case 0:
		return fmt.Sprintf("%c\tif (%s->%s_%s & %s)", sign, name(), name(), name(), strings.ToUpper(name()))
	case 1:
		return fmt.Sprintf("%c\t\treturn %s_%s(%s, &%s->%s);", sign, name(), name(), name(), name(), name())
	case 2:
		return fmt.Sprintf("%c\tstruct %s *%s = %s->%s;", sign, name(), d.lexicon.word(), name(), name())
	case 3:
		return fmt.Sprintf("%c\t/* %s %s %s %s */", sign, d.lexicon.word(), d.lexicon.word(), name(), d.lexicon.word())
	case 4:
		return fmt.Sprintf("%c\t}", sign)
	}
	return fmt.Sprintf("%c\t%s_%s[%d] = 0x%x;", sign, name(), d.lexicon.word(), d.rand.IntN(16), 1<<d.rand.IntN(24))
}

// oops is the state of a machine that stopped: hashes that nobody reads.
func (d *draft) oops() []string {
	lines := []string{fmt.Sprintf("[%5d.%06d] BUG: %s at %016x", d.rand.IntN(9000), d.rand.IntN(1000000), d.topic[0], d.rand.Uint64()|0xffff<<48)}
	for range d.rand.IntN(8) {
		lines = append(lines, fmt.Sprintf("  %s_%s+0x%x/0x%x", d.topic[d.rand.IntN(len(d.topic))], d.lexicon.word(), d.rand.IntN(700), 0x100+16*d.rand.IntN(300)))
	}
	return append(lines, "")
}
