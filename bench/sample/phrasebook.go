package sample

import (
	"embed"
	"fmt"
	"strings"
	"sync"
)

//go:embed phrases/*.txt
var phraseFiles embed.FS

// phrasebook is what people of one language write.
type phrasebook struct {
	language string
	charsets []string
	people   []Person
	subjects []string
	lines    []string
}

// phrasebooks are read once; they do not change.
var phrasebooks = sync.OnceValue(readPhrasebooks)

func readPhrasebooks() []*phrasebook {
	entries, err := phraseFiles.ReadDir("phrases")
	if err != nil {
		panic(err) // the files are part of the program
	}
	var books []*phrasebook
	for _, e := range entries {
		content, err := phraseFiles.ReadFile("phrases/" + e.Name())
		if err != nil {
			panic(err)
		}
		books = append(books, parsePhrasebook(strings.TrimSuffix(e.Name(), ".txt"), string(content)))
	}
	return books
}

// parsePhrasebook reads lines of a keyword and its text.
func parsePhrasebook(language, content string) *phrasebook {
	b := &phrasebook{language: language}
	for line := range strings.Lines(content) {
		keyword, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch keyword {
		case "charsets":
			b.charsets = strings.Fields(text)
		case "person":
			b.people = append(b.people, Person{text, b.newAddress(text)})
		case "subject":
			b.subjects = append(b.subjects, text)
		case "line":
			b.lines = append(b.lines, text)
		}
	}
	return b
}

// newAddress is made of the name where that is ASCII, of a number elsewhere.
func (b *phrasebook) newAddress(name string) string {
	if isASCII(name) {
		return strings.ToLower(strings.ReplaceAll(name, " ", ".")) + "@example.com"
	}
	return fmt.Sprintf("person%d@%s.example", len(b.people)+1, b.language)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
