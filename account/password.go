package account

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/secure/precis"
)

// Cost is what one password hash costs, in the terms of RFC 9106 §3.1. The zero
// value is the default: 19 MiB, 2 passes, 1 lane.
type Cost struct {
	Memory uint32 // KiB
	Passes uint32
	Lanes  uint8
}

var defaultCost = Cost{Memory: 19 << 10, Passes: 2, Lanes: 1}

// The bounds of what a stored hash may ask for: a damaged or foreign one must
// not take all memory.
const (
	maxMemory = 1 << 20 // KiB
	maxPasses = 64
)

const (
	saltBytes = 16
	hashBytes = 32
)

// ErrPassword is returned for a password that nobody may have: empty, longer
// than 1,024 bytes, not UTF-8, or with control characters.
var ErrPassword = errors.New("not a password")

const maxPassword = 1024

// prepare returns the form of a password that is hashed: the OpaqueString profile
// of RFC 8265 §4.2, so that the same characters typed on another system are the
// same bytes.
func prepare(password string) (string, error) {
	if len(password) > maxPassword {
		return "", fmt.Errorf("longer than %d bytes: %w", maxPassword, ErrPassword)
	}
	if !utf8.ValidString(password) {
		return "", fmt.Errorf("not UTF-8: %w", ErrPassword)
	}
	p, err := precis.OpaqueString.String(password)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrPassword, err) // says why, not what
	}
	return p, nil
}

// hash is a hash with all that is needed to make it again.
type hash struct {
	cost Cost
	salt []byte
	sum  []byte
}

var b64 = base64.RawStdEncoding.Strict()

// String is the hash in the PHC string format.
func (h hash) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.cost.Memory, h.cost.Passes, h.cost.Lanes, b64.EncodeToString(h.salt), b64.EncodeToString(h.sum))
}

var errHash = errors.New("not an argon2id hash in PHC form")

// parseHash reads what String writes.
func parseHash(s string) (hash, error) {
	var h hash
	fields := strings.Split(s, "$")
	if len(fields) != 6 {
		return hash{}, errHash
	}
	_, err := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &h.cost.Memory, &h.cost.Passes, &h.cost.Lanes)
	if err != nil {
		return hash{}, errHash
	}
	h.salt, err = b64.DecodeString(fields[4])
	if err != nil {
		return hash{}, errHash
	}
	h.sum, err = b64.DecodeString(fields[5])
	if err != nil || h.String() != s || !h.sane() {
		return hash{}, errHash
	}
	return h, nil
}

func (h hash) sane() bool {
	c := h.cost
	return c.Memory >= 8*uint32(c.Lanes) && c.Memory <= maxMemory && c.Passes >= 1 && c.Passes <= maxPasses &&
		c.Lanes >= 1 && len(h.salt) >= 8 && len(h.salt) <= 64 && len(h.sum) >= 16 && len(h.sum) <= 64
}

// compute hashes a prepared password. It waits for one of the places that bound
// how many are computed at once.
func (a *Accounts) compute(ctx context.Context, password string, cost Cost, salt []byte, size uint32) ([]byte, error) {
	select {
	case a.hashing <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-a.hashing }()
	return argon2.IDKey([]byte(password), salt, cost.Passes, cost.Memory, cost.Lanes, size), nil
}

// newHash hashes a password with today's cost and a new salt.
func (a *Accounts) newHash(ctx context.Context, password string) (hash, error) {
	password, err := prepare(password)
	if err != nil {
		return hash{}, err
	}
	h := hash{cost: a.o.Cost, salt: make([]byte, saltBytes)}
	if _, err := io.ReadFull(a.o.Rand, h.salt); err != nil {
		return hash{}, fmt.Errorf("salt: %w", err)
	}
	h.sum, err = a.compute(ctx, password, h.cost, h.salt, hashBytes)
	return h, err
}

// matches reports whether the password is the one that was hashed.
func (a *Accounts) matches(ctx context.Context, h hash, password string) (bool, error) {
	password, bad := prepare(password)
	sum, err := a.compute(ctx, password, h.cost, h.salt, uint32(len(h.sum)))
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(sum, h.sum) == 1 && bad == nil, nil
}
