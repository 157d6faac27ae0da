package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// elements decodes the drawing strictly and counts its elements; text is all of theirs.
func elements(t interface{ Fatal(...any) }, svg string) (count map[string]int, text string) {
	count = map[string]int{}
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if err == io.EOF {
			return count, text
		}
		if err != nil {
			t.Fatal(err, svg)
		}
		switch token := token.(type) {
		case xml.StartElement:
			count[token.Name.Local]++
		case xml.CharData:
			text += string(token)
		}
	}
}

func TestSVG(t *testing.T) {
	c := Chart{Title: "a < b & c", XLabel: "messages", YLabel: "ms", Series: []Series{
		{Name: "ours", Points: []Point{{10_000, 0.5}, {600_000, 2}}},
		{Name: "\"peer\"", Dashed: true, Points: []Point{{10_000, 500}}},
	}}
	svg, err := c.SVG()
	if err != nil {
		t.Fatal(err)
	}
	count, text := elements(t, svg)
	if count["svg"] != 1 || count["circle"] != 3 {
		t.Errorf("%v", count)
	}
	for _, want := range []string{"a < b & c", "messages", "ours", "\"peer\"", "10,000", "1,000,000", "0.1", "1000"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the drawing: %q", want, text)
		}
	}
	if again, _ := c.SVG(); again != svg {
		t.Error("drawn twice, it differs")
	}
}

func TestRefuses(t *testing.T) {
	for name, c := range map[string]Chart{
		"nothing":   {},
		"no points": {Series: []Series{{Name: "x"}}},
		"zero":      {Series: []Series{{Points: []Point{{1, 0}}}}},
		"negative":  {Series: []Series{{Points: []Point{{-1, 1}}}}},
		"infinite":  {Series: []Series{{Points: []Point{{math.Inf(1), 1}}}}},
		"NaN":       {Series: []Series{{Points: []Point{{1, math.NaN()}}}}},
	} {
		if _, err := c.SVG(); !errors.Is(err, ErrPoints) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPointsLieInTheField: whatever the values, each point lies between the axes, and
// a larger one further right or further up.
func TestPointsLieInTheField(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		value := rapid.Float64Range(1e-6, 1e9)
		var points []Point
		for range rapid.IntRange(1, 6).Draw(r, "points") {
			points = append(points, Point{value.Draw(r, "x"), value.Draw(r, "y")})
		}
		c := Chart{Series: []Series{{Name: rapid.String().Filter(func(s string) bool {
			return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > 0xd7ff })
		}).Draw(r, "name"), Points: points}}}
		x, y, err := c.axes()
		if err != nil {
			r.Fatal(err)
		}
		for i, p := range points {
			if px, py := x.at(p.X), y.at(p.Y); px < left-0.01 || px > width-right+0.01 || py > height-below+0.01 || py < top-0.01 {
				r.Errorf("%v is drawn at %.1f, %.1f", p, px, py)
			}
			for _, q := range points[:i] {
				if (p.X < q.X) != (x.at(p.X) < x.at(q.X)) || (p.Y < q.Y) != (y.at(p.Y) > y.at(q.Y)) {
					r.Errorf("%v and %v changed places", p, q)
				}
			}
		}
		svg, err := c.SVG()
		if err != nil {
			r.Fatal(err)
		}
		if count, _ := elements(r, svg); count["circle"] != len(points) {
			r.Errorf("%d circles for %d points", count["circle"], len(points))
		}
	})
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0.1: "0.1", 1: "1", 5000: "5000", 20000: "20,000", 1e6: "1,000,000"} {
		if got := number(v); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
}
