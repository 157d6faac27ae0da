package search_test

import (
	"strings"

	"teraslot/search"
	"teraslot/text"
)

// forms are words with relatives: inflected, with and without diacritics, mistyped.
var forms = []string{
	"organise", "organised", "organising", "organisation", "orgainse", "meeting", "meetings", "meet", "Meating",
	"Müller", "Mueller", "Muller", "Miller", "Straße", "Strasse", "strase", "Ærø", "Aeroe", "Łódź", "Lodz", "résumé", "resume", "resumes",
	"Häuser", "Haus", "Hauses", "canción", "canciones", "cancion", "книга", "книги", "книгой", "ёлка", "елки", "שָׁלוֹם", "שלום",
	"invoice", "invocie", "invoices", "nivoice", "recieve", "receive", "received", "receiving", "2002", "2003", "mp3", "mp3s",
	"happy", "happier", "happiness", "dying", "die", "Ångström", "Aangstroem", "æther", "aether", "naïve", "naive", "xenophobia", "xenohpobai",
}

// maybeFuzzy puts FUZZY before a key, or does not.
func (g generator) maybeFuzzy(q search.Query) search.Query {
	if g.IntN(2) == 0 {
		return search.Fuzzy{Key: q}
	}
	return q
}

// fuzzyKey makes a fuzzy key of words of some message, mistyped or in other forms.
func (g generator) fuzzyKey(from []text.Unit) search.Query {
	if g.IntN(4) == 0 {
		q, _ := g.key(from)
		return search.Fuzzy{Key: q}
	}
	u := pick(g, from)
	scope, name := text.InText, ""
	switch {
	case u.Kind == text.Header && g.IntN(2) == 0:
		scope, name = text.InHeader, u.Name
	case u.Kind == text.Body && g.IntN(2) == 0:
		scope = text.InBody
	}
	var words []string
	if all := plainWords(u.Value()); len(all) > 0 {
		at := g.IntN(len(all))
		for i := 0; i < 1+g.IntN(3) && at+i < len(all); i += 1 + g.IntN(3) {
			words = append(words, g.mistype(all[at+i]))
		}
	}
	if len(words) == 0 || g.IntN(8) == 0 {
		words = append(words, pick(g, forms))
	}
	if g.IntN(4) > 0 {
		g.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	}
	pattern := strings.Join(words, pick(g, []string{" ", " ", ", ", "-"}))
	if g.IntN(3) == 0 {
		pattern = `"` + pattern + `"`
	}
	return search.Fuzzy{Key: search.Text{Key: text.NewKey(scope, name, pattern)}}
}

// mistype changes up to three letters of a word, and most of the time none or one.
func (g generator) mistype(word string) string {
	runes := []rune(word)
	for range []int{0, 0, 1, 1, 2, 3}[g.IntN(6)] {
		if len(runes) < 2 {
			break
		}
		switch at := g.IntN(len(runes) - 1); g.IntN(4) {
		case 0:
			runes[at], runes[at+1] = runes[at+1], runes[at]
		case 1:
			runes = append(runes[:at], runes[at+1:]...)
		case 2:
			runes[at] = pick(g, []rune("aeiX9é"))
		default:
			runes = append(runes[:at+1], runes[at:]...)
		}
	}
	return string(runes)
}
