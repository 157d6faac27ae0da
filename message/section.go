package message

import (
	"bytes"
	"fmt"
	"io"
)

// HeaderFields is BODY[HEADER.FIELDS (names)] of the part's header, or with not
// BODY[HEADER.FIELDS.NOT (names)]: the fields' lines as they are, in the order of
// the message, and a blank line, unless there is neither one nor a body (RFC 9051 §6.4.5.1).
// Names are compared without regard to case. Fields behind the first 4 MiB of a header are not seen. An error
// is one of r's.
func HeaderFields(r io.ReaderAt, p *Part, names []string, not bool) ([]byte, error) {
	header, err := readHeader(r, p)
	if err != nil {
		return nil, err
	}
	wanted := make(map[string]bool, len(names))
	for _, name := range names {
		wanted[lower([]byte(name))] = true
	}
	var out []byte
	for f := range fields(header) {
		if f.name == nil || wanted[lower(f.name)] == not {
			continue
		}
		out = append(out, f.raw...)
		if out[len(out)-1] != '\n' {
			out = append(out, '\r', '\n')
		}
	}
	if p.Size() == 0 && !endsBlank(header) {
		return out, nil
	}
	return append(out, '\r', '\n'), nil
}

// endsBlank reports whether a header's last line is blank.
func endsBlank(header []byte) bool {
	header, ended := bytes.CutSuffix(header, []byte{'\n'})
	header = bytes.TrimSuffix(header, []byte{'\r'})
	return ended && (len(header) == 0 || header[len(header)-1] == '\n')
}

// readHeader is the part's header, at most maxHeader octets of it.
func readHeader(r io.ReaderAt, p *Part) ([]byte, error) {
	b := make([]byte, min(p.BodyStart-p.HeaderStart, maxHeader))
	n, err := r.ReadAt(b, p.HeaderStart)
	if n == len(b) {
		return b, nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return nil, fmt.Errorf("message: read header at %d: %w", p.HeaderStart+int64(n), err)
}

// DecodedPart reads the part's body with its transfer encoding undone. Damage in
// the encoding never ends the text: what is no code is passed over. The octets
// are in the part's own charset. An encoding that is not known is left as it is
// (see Part.Decodable).
func DecodedPart(r io.ReaderAt, p *Part) io.Reader {
	body := io.NewSectionReader(r, p.BodyStart, p.Size())
	if d := decoderFor(p.Encoding); d != nil {
		return newTransferReader(body, d)
	}
	return body
}
