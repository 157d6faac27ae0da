package mailstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"time"

	"teraslot/mailbox"
)

// ErrSetting: what was to be set is none of the settings, or no value of it.
var ErrSetting = errors.New("not a setting of a mailbox")

// The settings of a mailbox.
const (
	// SettingArchive is the age at which its messages go to the archive partition, in
	// the place of the slot's.
	SettingArchive = "archive"
	// SettingExpire is the age at which its messages are expunged; without it they
	// never are.
	SettingExpire = "expire"
)

// Age is the value of a setting: a duration in whole seconds, at once, or never.
type Age struct {
	After time.Duration
	Never bool
}

// ParseAge reads an Age as String writes it: "never", "now", or a number of seconds.
func ParseAge(s string) (Age, error) {
	switch s {
	case "never":
		return Age{Never: true}, nil
	case "now":
		return Age{}, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return Age{}, fmt.Errorf("%q: %w", s, ErrSetting)
	}
	return Age{After: time.Duration(n) * time.Second}, nil
}

// String writes the age as it is stored.
func (a Age) String() string {
	switch {
	case a.Never:
		return "never"
	case a.After < time.Second:
		return "now"
	}
	return strconv.FormatInt(int64(a.After/time.Second), 10)
}

// reached reports whether something from a moment is of that age.
func (a Age) reached(from, now time.Time) bool { return !a.Never && now.Sub(from) >= a.After }

// SetSetting changes a setting of a mailbox; nil takes it back.
func (m *Mail) SetSetting(ctx context.Context, id mailbox.ID, name string, value *Age) error {
	if name != SettingArchive && name != SettingExpire {
		return fmt.Errorf("%q: %w", name, ErrSetting)
	}
	return m.write(ctx, "", func(t *txn) error {
		b, err := t.box(id)
		if err != nil {
			return err
		}
		if value == nil {
			return t.c.exec(`DELETE FROM setting WHERE box = ? AND name = ?`, b.row, name)
		}
		return t.c.exec(`REPLACE INTO setting VALUES (?, ?, ?)`, b.row, name, value.String())
	})
}

// Settings returns the settings of a mailbox by name.
func (m *Mail) Settings(ctx context.Context, id mailbox.ID) (map[string]Age, error) {
	var out map[string]Age
	err := m.read(ctx, func(c *conn) error {
		b, err := loadBox(c, "id", string(id))
		if err != nil {
			return err
		}
		all, err := loadSettings(c)
		out = all[b.row]
		return err
	})
	return out, err
}

// loadSettings reads all settings by mailbox number. One that cannot be read is as
// good as none.
func loadSettings(c *conn) (map[int64]map[string]Age, error) {
	all := map[int64]map[string]Age{}
	err := c.each(`SELECT box, name, value FROM {setting}`, func(row []driver.Value) error {
		age, err := ParseAge(text(row[2]))
		if err != nil {
			return nil
		}
		n := integer(row[0])
		if all[n] == nil {
			all[n] = map[string]Age{}
		}
		all[n][text(row[1])] = age
		return nil
	})
	return all, err
}
