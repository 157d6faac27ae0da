package message

import "io"

// stretch is a place where taking a message apart can go on: the line of a
// boundary, and the parts open around it. By stretches all parts of a message are
// seen, however many there are, and never more than some of them are in memory.
type stretch struct {
	offset int64
	open   []entity
}

// parseStretch is Parse without the limits on parts and on what is kept of them:
// it stops at a boundary where there are most parts, or much is kept, and next is where to go on;
// nil at the end of the message. at is nil for the first stretch. The parts of a
// later one lie in multiparts without headers that stand for those still open. The
// limit on depth remains: the part below it is a leaf. Envelopes are left empty.
func parseStretch(r io.ReaderAt, size int64, at *stretch, most int) (root *Part, next *stretch, err error) {
	p := &parser{lines: newLines(r, size), most: most, junk: -1, byStretch: true, s: &Structure{Size: size}}
	if at == nil {
		root = &Part{}
		p.begin(root, &Envelope{}, false, 0)
	} else {
		root = p.resume(at)
	}
	p.run()
	return root, p.paused, p.err
}

// pause ends all parts before the boundary at offset, which is that of open[level].
func (p *parser) pause(level int, offset int64) {
	p.paused = &stretch{offset, append([]entity(nil), p.open[:level+1]...)}
	p.closeAbove(level, p.textEnd, 1)
	for _, e := range p.open {
		e.part.End = max(p.textEnd, e.part.BodyStart)
	}
	p.open, p.bounds = nil, 0
}

// resume opens parts that stand for those of a stretch.
func (p *parser) resume(at *stretch) *Part {
	p.seek(at.offset)
	root := &Part{}
	for i, e := range at.open {
		part := root
		if i > 0 {
			part = &Part{}
			outer := p.open[i-1].part
			outer.Children = append(outer.Children, part)
		}
		part.HeaderStart, part.BodyStart = at.offset, at.offset
		part.Type, part.Subtype = "multipart", e.part.Subtype // whether it is a digest counts
		p.open = append(p.open, entity{part: part, boundary: e.boundary})
		if e.boundary != nil {
			p.bounds++
		}
	}
	return root
}
