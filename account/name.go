package account

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// ErrName is returned for a login name that no user may have.
var ErrName = errors.New("not a login name")

// maxName bounds a login name in bytes, as RFC 5321 §4.5.3.1 bounds a mailbox:
// 64 for the local part, 1 for the "@", 255 for the domain.
const maxName = 320

// notInNames are ASCII characters with a meaning elsewhere: in LMTP addresses
// ("+" names a folder), in IMAP patterns and hierarchies, in shells and files.
const notInNames = "+/\\*%\"'`$&|;<>()[]{}!?#:, "

// Fold returns the one form of a login name by which users are found: the
// UsernameCaseMapped profile of RFC 8265 §3.3, so in lower case, with full-width
// forms made plain, composed. A name with a character that no login name may
// have, or none at all, is ErrName.
func Fold(name string) (string, error) {
	folded, err := precis.UsernameCaseMapped.String(name)
	switch {
	case err != nil:
		return "", fmt.Errorf("%q: %w: %w", name, ErrName, err)
	case folded == "", !utf8.ValidString(name):
		return "", fmt.Errorf("%q: %w", name, ErrName)
	case len(folded) > maxName:
		return "", fmt.Errorf("%.20q…: longer than %d bytes: %w", name, maxName, ErrName)
	case strings.ContainsAny(folded, notInNames):
		return "", fmt.Errorf("%q: none of %s may be in it: %w", name, notInNames, ErrName)
	case strings.HasPrefix(folded, "-"), strings.HasPrefix(folded, "."):
		return "", fmt.Errorf("%q: may not begin with %q: %w", name, folded[:1], ErrName)
	}
	return folded, nil
}
