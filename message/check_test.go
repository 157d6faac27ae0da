package message

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"unicode/utf8"

	"teraslot/text"
)

// check parses raw and holds the structure to what the package promises.
func check(raw []byte) (*Structure, error) {
	s, err := Parse(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return nil, err
	}
	if s.Size != int64(len(raw)) || s.Root.HeaderStart != 0 || s.Root.End != s.Size || s.Envelope == nil {
		return s, fmt.Errorf("root spans %d…%d of %d", s.Root.HeaderStart, s.Root.End, s.Size)
	}
	parts := 0
	if err := checkPart(raw, s.Root, &parts, 1); err != nil {
		return s, err
	}
	return s, checkBinary(s)
}

func checkPart(raw []byte, p *Part, parts *int, depth int) error {
	*parts++
	fault := func(what string) error {
		return fmt.Errorf("part %d (%s/%s at %d, %d, %d): %s", *parts, p.Type, p.Subtype, p.HeaderStart, p.BodyStart, p.End, what)
	}
	switch {
	case *parts > maxParts:
		return fault("too many parts")
	case depth > maxDepth:
		return fault("too deep")
	case p.HeaderStart > p.BodyStart || p.BodyStart > p.End:
		return fault("offsets do not rise")
	case p.Lines != int64(bytes.Count(raw[p.BodyStart:p.End], []byte("\n"))):
		return fault(fmt.Sprintf("%d lines", p.Lines))
	case (p.Type == "multipart") != (len(p.Children) > 0):
		return fault("children and type disagree")
	case encodesMessage(p.Type, p.Subtype) != (p.Message != nil), (p.Envelope != nil) != (p.Message != nil):
		return fault("message and type disagree")
	case p.Type == "" || p.Subtype == "" || p.Encoding == "":
		return fault("no type or encoding")
	}
	at := p.BodyStart
	for _, c := range p.Children {
		if c.HeaderStart < at || c.End > p.End {
			return fault("a child lies outside")
		}
		at = c.End
		if err := checkPart(raw, c, parts, depth+1); err != nil {
			return err
		}
	}
	if m := p.Message; m != nil {
		if m.HeaderStart != p.BodyStart || m.End != p.End {
			return fault("the inner message is not the body")
		}
		return checkPart(raw, m, parts, depth+1)
	}
	return nil
}

func checkBinary(s *Structure) error {
	b, err := s.AppendBinary([]byte("before"))
	if err != nil {
		return err
	}
	b, ok := bytes.CutPrefix(b, []byte("before"))
	if !ok {
		return errors.New("AppendBinary did not append")
	}
	back, err := UnmarshalStructure(b)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(s, back) {
		return fmt.Errorf("decoded structure differs:\n%#v\n%#v", s.Root, back.Root)
	}
	return nil
}

// checkUnits holds an extraction to what text promises of units.
func checkUnits(units []text.Unit) error {
	for _, u := range units {
		switch {
		case !utf8.ValidString(u.Text):
			return fmt.Errorf("a unit is not UTF-8: %.80q", u.Text)
		case u.Text != text.Normalize(u.Text) && !shrinks(u.Text):
			return fmt.Errorf("a unit is not normalized: %.80q", u.Text)
		case (u.Kind == text.Header) != (u.Name != ""):
			return fmt.Errorf("kind %d and name %q", u.Kind, u.Name)
		}
	}
	return nil
}

// shrinks reports whether folding twice may differ from folding once.
func shrinks(s string) bool { return s != string(text.Fold(nil, s)) }
