package backup

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"slices"
	"time"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// Generation is the mail of a slot as it was at one time.
type Generation struct {
	Version  int
	Name     string    // of its manifest
	Time     time.Time // when it was begun
	Accounts Object
	Users    []User // sorted by ID
}

// User is a user's part of a generation.
type User struct {
	ID          mailbox.User
	Name        string // login name then, "" if there was no account
	Fingerprint string // of the mail: see mailstore.Snapshot
	Records     Object // mail.db
	Packs       []Pack
}

// Object is a compressed file.
type Object struct {
	File   string // below the directory, with slashes
	Size   int64  // of what is in it
	SHA256 string // of what is in it
}

// Pack is as much of a pack as a generation needs.
type Pack struct {
	N       uint64
	File    string // in the user's directory
	Archive bool   `json:",omitempty"` // it lay below the archive root
	End     int64  // octets that are needed
	Last    int64  // where the last message in them begins
	Mark    uint32 // CRC of that message's header: tells packs of one number apart
}

func (p Pack) of() mailstore.Pack { return mailstore.Pack{N: p.N, Archive: p.Archive, End: p.End} }

// Bytes is how many octets of packs a generation's users have together.
func (g *Generation) Bytes() (n int64) {
	for _, u := range g.Users {
		for _, p := range u.Packs {
			n += p.End
		}
	}
	return n
}

// User returns the part of the user with that id or, failing that, login name.
func (g *Generation) User(idOrName string) (User, error) {
	for _, same := range []func(User) bool{
		func(u User) bool { return string(u.ID) == idOrName },
		func(u User) bool { return u.Name == idOrName },
	} {
		if i := slices.IndexFunc(g.Users, same); i >= 0 {
			return g.Users[i], nil
		}
	}
	return User{}, fmt.Errorf("generation %s: %q: %w", g.Name, idOrName, mailstore.ErrNoUser)
}

const manifestVersion = 1

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	// ErrManifest is returned for a manifest that is damaged or of another version.
	ErrManifest = errors.New("not a manifest of this program's version")
)

// encode makes the manifest's file.
func (g *Generation) encode() ([]byte, error) {
	b, err := json.Marshal(g)
	if err != nil {
		return nil, err
	}
	b = append(b, '\n')
	return fmt.Appendf(b, "crc %08x\n", crcOf(b)), nil
}

func crcOf(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// decodeManifest reads what encode made, of that name, and takes nothing else: names
// in it are later joined to paths.
func decodeManifest(name string, b []byte) (*Generation, error) {
	i := bytes.LastIndex(bytes.TrimSuffix(b, []byte("\n")), []byte("\n")) + 1
	if want := fmt.Sprintf("crc %08x\n", crcOf(b[:i])); string(b[i:]) != want {
		return nil, fmt.Errorf("%s: %w: its checksum does not match", name, ErrManifest)
	}
	g := new(Generation)
	d := json.NewDecoder(bytes.NewReader(b[:i]))
	d.DisallowUnknownFields()
	if err := d.Decode(g); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrManifest, err)
	}
	if g.Version != manifestVersion || g.Name != name {
		return nil, fmt.Errorf("%s: %w: version %d of %q", name, ErrManifest, g.Version, g.Name)
	}
	if err := g.check(); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrManifest, err)
	}
	return g, nil
}

// check refuses what would lead out of the directory, or cannot be.
func (g *Generation) check() error {
	local := func(o Object) error {
		sum, err := hex.DecodeString(o.SHA256)
		if err != nil || len(sum) != 32 || o.Size < 0 || !filepath.IsLocal(filepath.FromSlash(o.File)) {
			return fmt.Errorf("file %q", o.File)
		}
		return nil
	}
	if g.Accounts != (Object{}) {
		if err := local(g.Accounts); err != nil {
			return err
		}
	}
	for _, u := range g.Users {
		if _, err := mailbox.ParseUser(string(u.ID)); err != nil {
			return err
		}
		if err := local(u.Records); err != nil {
			return err
		}
		for _, p := range u.Packs {
			if _, ok := packNumber(p.File); !ok || p.End < 0 || p.Last < 0 || p.Last > p.End {
				return fmt.Errorf("user %s: pack %q", u.ID, p.File)
			}
		}
	}
	return nil
}
