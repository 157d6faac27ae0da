package main

import (
	"bytes"
	"fmt"
	"slices"
	"time"
)

// The drawing, in its own units: two panels over the days of the month, and one over
// the hours of the day.
const (
	drawWidth, left, right = 900, 70, 20
	panelHeight, gap       = 170, 60
)

var colours = map[string]string{"temp": "#c0392b", "meta": "#e67e22", "data": "#2980b9", "archive": "#7f8c8d"}

// draw draws the sizes of the tiers over the month, and the hours of work.
func (r *report) draw() []byte {
	var b bytes.Buffer
	height := 3*(panelHeight+gap) + 20
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", drawWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", drawWidth, height)
	r.drawTemp(&panel{b: &b, top: 30, high: float64(r.temp) * 1.1, title: "temp, in MB: the most in two hours, its size, and compact.full of it"})
	r.drawTiers(&panel{b: &b, top: 30 + panelHeight + gap, high: 1.1 * r.most(), title: "meta, data, archive, in MB, one above the other"})
	r.drawHours(&panel{b: &b, top: 30 + 2*(panelHeight+gap), title: "compacted in each hour of the day, in MB, over all days"})
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// most is the most that all tiers but temp ever had, in bytes.
func (r *report) most() float64 {
	most := int64(1)
	for _, s := range r.samples {
		most = max(most, s.bytes["meta"]+s.bytes["data"]+s.bytes["archive"])
	}
	return float64(most)
}

// panel is one diagram: bytes upwards, from nothing to high.
type panel struct {
	b     *bytes.Buffer
	top   int
	high  float64
	title string
}

// y is where so many bytes are.
func (p *panel) y(bytes float64) float64 {
	return float64(p.top) + panelHeight*(1-bytes/max(p.high, 1))
}

// x is where a share of the width is.
func x(share float64) float64 { return left + share*(drawWidth-left-right) }

// frame draws title, axis and marks of the panel.
func (p *panel) frame() {
	fmt.Fprintf(p.b, `<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", left, p.top-10, p.title)
	for i := range 5 {
		v := p.high * float64(i) / 4
		fmt.Fprintf(p.b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.1f</text>`+"\n",
			left, drawWidth-right, p.y(v), p.y(v), left-8, p.y(v)+4, v/(1<<20))
	}
}

// level draws a line across at so many bytes.
func (p *panel) level(bytes float64, dashes string) {
	fmt.Fprintf(p.b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#000" stroke-dasharray="%s"/>`+"\n", left, drawWidth-right, p.y(bytes), p.y(bytes), dashes)
}

// share is where in the month a sample lies, 0 to 1.
func (r *report) share(s sample) float64 {
	first, last := r.samples[0].at, r.samples[len(r.samples)-1].at
	if !last.After(first) {
		return 0
	}
	return float64(s.at.Sub(first)) / float64(last.Sub(first))
}

// days writes the days below a panel.
func (r *report) days(p *panel) {
	seen := make(map[string]bool)
	every := max(1, len(r.samples)/12/15)
	for _, s := range r.samples {
		name := s.at.Format("2 Jan")
		if !seen[name] && len(seen)%every == 0 {
			fmt.Fprintf(p.b, `<text x="%.1f" y="%d">%s</text>`+"\n", x(r.share(s)), p.top+panelHeight+16, name)
		}
		seen[name] = true
	}
}

func (r *report) drawTemp(p *panel) {
	p.frame()
	r.days(p)
	p.level(float64(r.temp), "none")
	p.level(float64(r.temp)/2, "6,4")
	fmt.Fprintf(p.b, `<polyline fill="none" stroke="%s" points="`, colours["temp"])
	for _, s := range r.samples {
		fmt.Fprintf(p.b, "%.1f,%.1f ", x(r.share(s)), p.y(float64(s.temp)))
	}
	p.b.WriteString(`"/>` + "\n")
}

func (r *report) drawTiers(p *panel) {
	p.frame()
	r.days(p)
	below := make([]float64, len(r.samples))
	for i, tier := range []string{"archive", "data", "meta"} {
		above := slices.Clone(below)
		fmt.Fprintf(p.b, `<polygon fill="%s" points="`, colours[tier])
		for n, s := range r.samples {
			above[n] += float64(s.bytes[tier])
			fmt.Fprintf(p.b, "%.1f,%.1f ", x(r.share(s)), p.y(above[n]))
		}
		for n := len(below) - 1; n >= 0; n-- {
			fmt.Fprintf(p.b, "%.1f,%.1f ", x(r.share(r.samples[n])), p.y(below[n]))
		}
		fmt.Fprintf(p.b, `"/>`+"\n"+`<text x="%d" y="%d" fill="%s" text-anchor="end">%s</text>`+"\n", drawWidth-right-80*i, p.top-10, colours[tier], tier)
		below = above
	}
}

func (r *report) drawHours(p *panel) {
	for _, h := range r.hours {
		p.high = max(p.high, 1.1*float64(h.bytes))
	}
	p.frame()
	const each = 1.0 / 24
	for hour, h := range r.hours {
		at, y := x(float64(hour)*each), p.y(float64(h.bytes))
		fmt.Fprintf(p.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/><text x="%.1f" y="%d">%02d</text>`+"\n",
			at+2, y, x(each)-left-4, float64(p.top+panelHeight)-y, colours["data"], at+8, p.top+panelHeight+16, hour)
		if h.compactions > 0 {
			fmt.Fprintf(p.b, `<text x="%.1f" y="%.1f" font-size="10">%d</text>`+"\n", at+4, y-3, h.compactions)
		}
	}
	fmt.Fprintf(p.b, `<text x="%d" y="%d" text-anchor="end">the numbers count compactions; quiet hours 01:00-05:00; %d days from %s</text>`+"\n",
		drawWidth-right, p.top-10, len(r.samples)/12, r.samples[0].at.Format(time.DateOnly))
}
