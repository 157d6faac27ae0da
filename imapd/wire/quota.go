package wire

import "github.com/emersion/go-imap/v2"

// GetQuota is RFC 9208 §4.1.
type GetQuota struct{ Root string }

// GetQuotaRoot is RFC 9208 §4.1.2.
type GetQuotaRoot struct{ Mailbox string }

// SetQuota is RFC 9208 §4.1.3.
type SetQuota struct {
	Root   string
	Limits []QuotaLimit
}

// QuotaLimit is a limit of a resource, in the resource's unit.
type QuotaLimit struct {
	Resource imap.QuotaResourceType // in capitals
	Limit    int64
}

// Name implements Command.
func (*GetQuota) Name() string { return "GETQUOTA" }

// Name implements Command.
func (*GetQuotaRoot) Name() string { return "GETQUOTAROOT" }

// Name implements Command.
func (*SetQuota) Name() string { return "SETQUOTA" }

func (p *parser) getQuota(bool) Command { return &GetQuota{Root: p.astringArgument()} }

func (p *parser) getQuotaRoot(bool) Command { return &GetQuotaRoot{Mailbox: p.mailboxArgument()} }

func (p *parser) setQuota(bool) Command {
	c := &SetQuota{Root: p.astringArgument()}
	p.sp()
	p.optionalList("a list of limits", func() {
		name := p.label("a resource")
		p.sp()
		c.Limits = append(c.Limits, QuotaLimit{imap.QuotaResourceType(name), p.number64()})
	})
	return c
}
