package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"teraslot/bench/queries"
)

// TestPoints: what is appended is read, what was measured again replaces the former.
func TestPoints(t *testing.T) {
	name := filepath.Join(t.TempDir(), "growth.tsv")
	first := pointOf("Teraslot", 10_000, queries.Word, durations{time.Millisecond, 3 * time.Millisecond})
	again := pointOf("Teraslot", 10_000, queries.Word, durations{2 * time.Millisecond})
	cyrus := pointOf("Cyrus", 2000, queries.Word, durations{340 * time.Millisecond})
	none := pointOf("Cyrus", 2000, queries.Ranked, nil)
	for _, p := range [][]point{{first, cyrus, none}, {again}} {
		if err := appendPoints(name, p); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := readPoints(f)
	if err != nil || len(got) != 2 || got[0] != cyrus || got[1] != again {
		t.Errorf("%v, %v", got, err)
	}
	if first.p50 != 1 || first.p99 != 3 || first.worst != 3 || first.queries != 2 {
		t.Errorf("%+v", first)
	}
	var svg bytes.Buffer
	if err := drawGrowth(name, &svg); err != nil {
		t.Fatal(err)
	}
	circles := 0
	for d := xml.NewDecoder(&svg); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "circle" {
			circles++
		}
	}
	if circles != 2 {
		t.Errorf("%d points are drawn", circles)
	}
}

func TestPointsRefused(t *testing.T) {
	for _, line := range []string{"x", "a\tb\tc\t1\t1\t1\t1", "a\t1\tc\tx\t1\t1\t1", "a\t1\tc\t1\t1\t1\tx"} {
		if _, err := readPoints(strings.NewReader(line)); err == nil {
			t.Errorf("%q was read", line)
		}
	}
	if err := drawGrowth(filepath.Join(t.TempDir(), "absent"), io.Discard); err == nil {
		t.Error("drawn from nothing")
	}
}

// TestDocumentedGrowth: the picture in docs is the one that its figures give.
func TestDocumentedGrowth(t *testing.T) {
	var svg bytes.Buffer
	if err := drawGrowth(filepath.Join("..", "docs", "growth.tsv"), &svg); err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile(filepath.Join("..", "docs", "growth.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, svg.Bytes()) {
		t.Error("docs/growth.svg is not what docs/growth.tsv gives: go run ./bench -plot docs/growth.tsv >docs/growth.svg")
	}
}
