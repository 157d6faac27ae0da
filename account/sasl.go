package account

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-sasl"
)

// ErrMechanism is returned for a SASL mechanism that is not offered.
var ErrMechanism = errors.New("SASL mechanism not offered")

// ErrIdentity is returned by an exchange with the right password of a user who asked to act
// for another.
var ErrIdentity = errors.New("may not act for that user")

// Mechanisms are the names of the SASL mechanisms that SASL knows.
func (a *Accounts) Mechanisms() []string { return []string{sasl.Plain} }

// SASL returns the server side of one exchange by a mechanism, named in any
// case. When it has succeeded, and before its last step returns, done is called
// with the user. ctx ends what the exchange waits for.
//
// PLAIN (RFC 4616) has to be protected by TLS: that is for the caller to see to.
func (a *Accounts) SASL(ctx context.Context, mechanism string, done func(Account)) (sasl.Server, error) {
	if !strings.EqualFold(mechanism, sasl.Plain) {
		return nil, fmt.Errorf("%q: %w", mechanism, ErrMechanism)
	}
	return sasl.NewPlainServer(func(identity, name, password string) error {
		acc, err := a.Authenticate(ctx, name, password)
		if err != nil {
			return err
		}
		// Nobody acts for another: RFC 4616 §2 has an identity that differs fail
		// the exchange.
		if as, err := Fold(identity); identity != "" && (err != nil || as != acc.Name) {
			return ErrIdentity
		}
		done(acc)
		return nil
	}), nil
}
