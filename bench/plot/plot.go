package plot

import (
	"errors"
	"fmt"
	"html"
	"math"
	"strings"
)

// Point is one measurement; both values are positive.
type Point struct{ X, Y float64 }

// Series is a line with a name. Points are drawn in their order.
type Series struct {
	Name   string
	Dashed bool
	Points []Point
}

// Chart is what to draw.
type Chart struct {
	Title, XLabel, YLabel string
	Series                []Series
}

// ErrPoints is returned for a chart that cannot be drawn: one without points, or
// with values that have no logarithm.
var ErrPoints = errors.New("every series needs points with positive values")

// The picture, in pixels: the field between the axes has a margin for labels and,
// on the right, for the lines' names.
const (
	width, height           = 860, 480
	left, right, top, below = 70, 250, 44, 56
)

// colours are told apart by people who see fewer of them, too (Okabe and Ito).
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999933"}

// axis maps a range of values, whole decades, to pixels.
type axis struct {
	least, most float64 // powers of ten
	from, to    float64 // pixels
}

func (a axis) at(v float64) float64 {
	return a.from + (a.to-a.from)*(math.Log10(v)-a.least)/(a.most-a.least)
}

// SVG draws the chart.
func (c Chart) SVG() (string, error) {
	x, y, err := c.axes()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	words(&b, float64(left), 24, "start", 15, c.Title)
	grid(&b, x, y)
	words(&b, (x.from+x.to)/2, height-14, "middle", 12, c.XLabel)
	fmt.Fprintf(&b, `<text transform="translate(18 %d) rotate(-90)" text-anchor="middle">%s</text>`+"\n", (height-below+top)/2, html.EscapeString(c.YLabel))
	for i, s := range c.Series {
		line(&b, x, y, s, colours[i%len(colours)])
		name(&b, s, colours[i%len(colours)], top+20*i)
	}
	b.WriteString("</svg>\n")
	return b.String(), nil
}

// axes span all points by whole decades.
func (c Chart) axes() (x, y axis, err error) {
	x = axis{math.Inf(1), math.Inf(-1), left, width - right}
	y = axis{math.Inf(1), math.Inf(-1), height - below, top}
	if len(c.Series) == 0 {
		return x, y, ErrPoints
	}
	for _, s := range c.Series {
		if len(s.Points) == 0 {
			return x, y, fmt.Errorf("%s: %w", s.Name, ErrPoints)
		}
		for _, p := range s.Points {
			if !(p.X > 0 && p.Y > 0) || math.IsInf(p.X, 0) || math.IsInf(p.Y, 0) {
				return x, y, fmt.Errorf("%s: %v: %w", s.Name, p, ErrPoints)
			}
			x.hold(p.X)
			y.hold(p.Y)
		}
	}
	x.round()
	y.round()
	return x, y, nil
}

func (a *axis) hold(v float64) {
	a.least, a.most = min(a.least, math.Log10(v)), max(a.most, math.Log10(v))
}

// round widens the axis to whole decades, one at least.
func (a *axis) round() {
	a.least, a.most = math.Floor(a.least+1e-9), math.Ceil(a.most-1e-9)
	if a.most <= a.least {
		a.most = a.least + 1
	}
}

// grid draws a line for each decade, named, and thin ones for 2 and 5.
func grid(b *strings.Builder, x, y axis) {
	for _, v := range x.ticks() {
		at := x.at(v)
		fmt.Fprintf(b, `<path d="M%.1f %.1fV%.1f" stroke="%s" fill="none"/>`+"\n", at, y.from, y.to, shade(v))
		words(b, at, y.from+18, "middle", 12, number(v))
	}
	for _, v := range y.ticks() {
		at := y.at(v)
		fmt.Fprintf(b, `<path d="M%.1f %.1fH%.1f" stroke="%s" fill="none"/>`+"\n", x.from, at, x.to, shade(v))
		words(b, x.from-8, at+4, "end", 12, number(v))
	}
}

func (a axis) ticks() (out []float64) {
	for decade := a.least; decade <= a.most; decade++ {
		for _, step := range []float64{1, 2, 5} {
			if v := step * math.Pow(10, decade); step == 1 || decade < a.most {
				out = append(out, v)
			}
		}
	}
	return out
}

func shade(v float64) string {
	if l := math.Log10(v); math.Abs(l-math.Round(l)) < 1e-9 {
		return "#b0b0b0"
	}
	return "#e8e8e8"
}

// number writes a tick without trailing zeros, thousands apart.
func number(v float64) string {
	s := fmt.Sprintf("%.10g", v)
	for i := len(s) - 3; i > 0 && v >= 10_000; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func words(b *strings.Builder, x, y float64, anchor string, size int, text string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d">%s</text>`+"\n", x, y, anchor, size, html.EscapeString(text))
}

func line(b *strings.Builder, x, y axis, s Series, colour string) {
	var path strings.Builder
	for i, p := range s.Points {
		fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(i, 1)], x.at(p.X), y.at(p.Y))
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", x.at(p.X), y.at(p.Y), colour)
	}
	fmt.Fprintf(b, `<path d="%s" stroke="%s" stroke-width="2"%s fill="none"/>`+"\n", path.String(), colour, dashes(s))
}

func dashes(s Series) string {
	if s.Dashed {
		return ` stroke-dasharray="6 4"`
	}
	return ""
}

// name writes a line's name beside the field, in the order of the series.
func name(b *strings.Builder, s Series, colour string, y int) {
	from := width - right + 16
	fmt.Fprintf(b, `<path d="M%d %dh22" stroke="%s" stroke-width="2"%s fill="none"/>`+"\n", from, y, colour, dashes(s))
	words(b, float64(from+28), float64(y+4), "start", 12, s.Name)
}
