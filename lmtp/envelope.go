package lmtp

import (
	"net"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// hello begins the dialogue, or begins it anew (RFC 2033 §4.1).
func (s *session) hello(rest string) {
	name, _, _ := strings.Cut(rest, " ")
	if name == "" || strings.IndexFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0 {
		s.reply(badHello)
		return
	}
	name = clientName(name)
	s.client, s.envelope = name, envelope{}
	if host, _, err := net.SplitHostPort(s.conn.RemoteAddr().String()); err == nil {
		s.peer = host
	}
	lines := []string{"Hello " + name, "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING", "SMTPUTF8",
		"SIZE " + strconv.FormatInt(s.server.o.MaxMessage, 10),
		"LIMITS RCPTMAX=" + strconv.Itoa(s.server.o.MaxRecipients)} // RFC 9422
	if s.server.o.TLS != nil && s.link == net.Conn(s.conn) {
		lines = append(lines, "STARTTLS")
	}
	for i, line := range lines {
		mark := "-"
		if i == len(lines)-1 {
			mark = " "
		}
		s.out = append(s.out, "250"+mark+line+"\r\n"...)
	}
}

// maxClientName is the length of a domain name in octets.
const maxClientName = 255

// clientName is the name by which a client greets, as it may stand in Received, whose
// grammar wants a domain or an address literal (RFC 5321 §4.4): of what can be neither
// "?" is left, lest it look like more of the field. A wrong name is no reason to refuse mail
// (§4.1.4).
func clientName(said string) string {
	var b strings.Builder
	for _, r := range said {
		if r == utf8.RuneError || r < utf8.RuneSelf && !nameOctet(byte(r)) || !unicode.IsPrint(r) {
			r = '?'
		}
		if b.Len()+utf8.RuneLen(r) > maxClientName {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

// nameOctet reports whether c may be in a domain or an address literal; "_" is in many
// names of machines.
func nameOctet(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.IndexByte("-._:[]", c) >= 0
}

// mail begins a message.
func (s *session) mail(rest string) {
	if s.client == "" || s.began {
		s.reply(notNow)
		return
	}
	path, has := cutFold(rest, "FROM:")
	from, parameters, err := cutAddress(path)
	if !has || err != nil {
		s.reply(badSender)
		return
	}
	p, bad := parseMail(parameters, s.server.o.MaxMessage)
	if bad != (status{}) {
		s.reply(bad)
		return
	}
	if s.server.o.Refuse {
		s.reply(refused)
		return
	}
	s.envelope = envelope{began: true, from: from.written, size: p.size}
	s.reply(senderOK)
}

// rcpt adds a recipient, or refuses it before its message is sent.
func (s *session) rcpt(rest string) {
	if !s.began {
		s.reply(notNow)
		return
	}
	path, has := cutFold(rest, "TO:")
	to, parameters, err := cutAddress(path)
	switch {
	case !has || err != nil || !to.sane():
		s.reply(badRecipient)
		return
	case strings.TrimSpace(parameters) != "":
		s.reply(unknownParameter)
		return
	case len(s.recipients) >= s.server.o.MaxRecipients:
		s.reply(tooManyRecipients)
		return
	}
	t, err := s.server.resolve(s.ctx, to.name)
	if err == nil {
		err = s.server.room(s.ctx, t, s.size)
	}
	if err != nil {
		s.refuse(err, to.written)
		return
	}
	s.recipients = append(s.recipients, recipient{to.written, t})
	s.reply(recipientOK)
}
