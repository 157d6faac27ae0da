package replication

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// damageMessage overwrites a word in a user's packs.
func (n *node) damageMessage(u mailbox.User, word string) {
	n.t.Helper()
	packs, err := filepath.Glob(filepath.Join(n.dir, u.Dir(), "*.pack"))
	must(n.t, err)
	for _, p := range packs {
		b, err := os.ReadFile(p)
		must(n.t, err)
		if i := bytes.Index(b, []byte(word)); i >= 0 {
			b[i] ^= 0x40
			must(n.t, os.WriteFile(p, b, 0o600))
			return
		}
	}
	n.t.Fatalf("%q is in no pack", word)
}

// replaceMessage puts other bytes in the place of a message, under a CRC and in a frame that match them: nothing tells of it but its GUID.
func (n *node) replaceMessage(u mailbox.User, word string) {
	n.t.Helper()
	const header, length, sum, headerSum = 84, 8, 76, 80 // docs/formats.md, "Message pack"
	packs, err := filepath.Glob(filepath.Join(n.dir, u.Dir(), "*.pack"))
	must(n.t, err)
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	for _, p := range packs {
		b, err := os.ReadFile(p)
		must(n.t, err)
		i := bytes.Index(b, []byte(word))
		if i < 0 {
			continue
		}
		frame := b[bytes.LastIndex(b[:i], []byte("TSMF")):]
		text := frame[header:][:binary.BigEndian.Uint64(frame[length:])]
		copy(text[bytes.Index(text, []byte(word)):], "replac")
		binary.BigEndian.PutUint32(frame[sum:], crc32.Checksum(text, castagnoli))
		binary.BigEndian.PutUint32(frame[headerSum:], crc32.Checksum(frame[:headerSum], castagnoli))
		must(n.t, os.WriteFile(p, b, 0o600))
		return
	}
	n.t.Fatalf("%q is in no pack", word)
}

// damageRecord changes the flags in a record's row behind the program's back.
func (n *node) damageRecord(u mailbox.User, uid mailbox.UID) {
	n.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(n.dir, u.Dir(), "mail.db"))
	must(n.t, err)
	r, err := db.Exec("UPDATE message SET system = system + 1 WHERE id & 4294967295 = ?", int64(uid))
	must(n.t, err)
	if k, err := r.RowsAffected(); err != nil || k != 1 {
		n.t.Fatalf("%d records of UID %d, %v", k, uid, err)
	}
	must(n.t, db.Close())
}

// TestHeal: damage on the master, on the replica, and on both in different places is
// healed from the other side; what both have lost is told. Nothing damaged is ever sent.
func TestHeal(t *testing.T) {
	a, b, c := pair(t)
	u := a.user("anna")
	for i := range 12 {
		a.deliver(u, "INBOX", letter(i)+"mark"+string(rune('a'+i))+"\r\n")
	}
	a.sync(c, u)
	before := a.seen(u)
	a.damageMessage(u, "markb")
	b.damageMessage(u, "markc")
	a.damageMessage(u, "markd")
	b.damageMessage(u, "markd")
	a.damageRecord(u, 5)
	b.damageRecord(u, 6)
	var told []string
	must(t, c.Heal(t.Context(), u, func(what string) { told = append(told, what) }))
	text := strings.Join(told, "\n")
	for want, n := range map[string]int{"master: records": 1, "replica: records": 1, "was damaged and is the replica's now": 1,
		"was damaged and is the master's now": 1, "is damaged, and": 2} {
		if strings.Count(text, want) != n {
			t.Errorf("%q is not told %d times:\n%s", want, n, text)
		}
	}
	// What both had lost comes from somewhere else, here by hand; then all is as it was.
	for _, n := range []*node{a, b} {
		n.restage(u, letter(3)+"markd\r\n")
	}
	a.sync(c, u)
	if after := a.seen(u); after != before {
		t.Errorf("after healing:\n%s\nwant\n%s", after, before)
	}
	same(t, u, a, b)
}

// restage stores a message's bytes anew.
func (n *node) restage(u mailbox.User, text string) {
	n.t.Helper()
	n.mail(u, func(m *mailstore.Mail) error {
		ctx := context.Background()
		msg, err := n.store.Spool(ctx, strings.NewReader(text))
		if err != nil {
			return err
		}
		defer msg.Close()
		return m.Stage(ctx, mailstore.Staged{Message: msg, Mailbox: noMailbox, UID: 1, UIDValidity: 1})
	})
}
