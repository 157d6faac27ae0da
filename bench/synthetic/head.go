package synthetic

import (
	"encoding/base64"
	"fmt"
	"mime"
	"strings"
	"time"
)

// person is an author: a few write much, many write little.
type person struct{ name, local, host string }

func (g *generator) person() person {
	n := uint64(g.rand.ExpFloat64() * 600)
	en := g.lexica[0]
	first, last := en.spell(3000+n*7), en.spell(90000+n*13)
	return person{title(first) + " " + title(last), first, fmt.Sprintf("%s.example.org", en.spell(200+n%160))}
}

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// field writes one header field.
func (d *draft) field(format string, args ...any) {
	fmt.Fprintf(&d.head, format+"\r\n", args...)
}

// header writes the message's header, with all that servers put in on the way.
func (d *draft) header(content []string) {
	d.field("Return-Path: <list-owner@lists.example.org>")
	at := d.at
	for range 3 + d.rand.IntN(3) {
		d.received(at)
		at = at.Add(-time.Duration(d.rand.IntN(9)) * time.Second)
	}
	for range 1 + d.rand.IntN(2) {
		d.signature()
	}
	d.field("From: %s <%s@%s>", d.from.name, d.from.local, d.from.host)
	d.field("To: list@lists.example.org")
	for range d.rand.IntN(4) {
		p := d.person()
		d.field("Cc: %s <%s@%s>", p.name, p.local, p.host)
	}
	subject := d.subject
	if d.answers {
		subject = "Re: " + subject
	}
	d.field("Subject: %s", mime.BEncoding.Encode("utf-8", subject))
	d.field("Date: %s", d.at.Format(time.RFC1123Z))
	d.field("Message-ID: %s", d.id)
	if n := len(d.references); d.answers && n > 0 {
		d.field("In-Reply-To: %s", d.references[n-1])
		d.field("References: %s", strings.Join(d.references, "\r\n "))
	}
	d.field("MIME-Version: 1.0\r\n%s", strings.Join(content, "\r\n"))
	d.field("List-ID: <list.lists.example.org>\r\nPrecedence: bulk\r\nX-Mailing-List: list@lists.example.org")
	d.field("X-Mailer: %s %d.%d", []string{"mutt", "git-send-email", "Evolution", "Thunderbird"}[d.rand.IntN(4)], d.rand.IntN(4), d.rand.IntN(40))
	d.field("X-Spam-Status: No, score=-%d.%d required=5.0 tests=BAYES_00,DKIM_SIGNED,DKIM_VALID,RCVD_IN_DNSWL_HI", d.rand.IntN(9), d.rand.IntN(10))
	d.field("X-Message-State: %s", d.token(92))
	d.field("%s", Label)
}

func (d *draft) received(at time.Time) {
	p := d.person()
	d.field("Received: from %s ([10.%d.%d.%d]) by mx%d.example.org (8.14.7/8.14.7)\r\n with ESMTP id %s for <list@lists.example.org>;\r\n %s",
		p.host, d.rand.IntN(256), d.rand.IntN(256), d.rand.IntN(256), d.rand.IntN(9), d.token(14), at.Format(time.RFC1123Z))
}

// signature is one by DKIM (RFC 6376), of noise.
func (d *draft) signature() {
	d.field("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=%s; s=s%d;\r\n t=%d; h=from:to:cc:subject:date:message-id:references;\r\n bh=%s;\r\n b=%s",
		d.from.host, d.at.Year(), d.at.Unix(), d.token(44), strings.Join(strings.Fields(folded(d.token(172+172*d.rand.IntN(2)), 66)), "\r\n "))
}

// token is a string of noise, n characters long at most.
func (d *draft) token(n int) string {
	noise := make([]byte, n*3/4)
	for i := range noise {
		noise[i] = byte(d.rand.Uint32())
	}
	return base64.StdEncoding.EncodeToString(noise)
}
