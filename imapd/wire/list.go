package wire

// List is LIST (RFC 9051 §6.3.9, RFC 5258).
type List struct {
	Reference string
	Patterns  []string // with the wildcards * and %; at least one
	// Extended says that selection options, several patterns or return options
	// were sent: the answer then has no room for the special meaning of an empty pattern.
	Extended bool
	Select   ListSelect
	Return   ListReturn
}

// ListSelect are the selection options.
type ListSelect struct {
	Subscribed, Remote, RecursiveMatch, SpecialUse bool
}

// ListReturn are the return options.
type ListReturn struct {
	Subscribed, Children, SpecialUse, MyRights bool
	Status                                     []StatusItem // RFC 5819
	// Metadata are entry names (RFC 9590).
	Metadata []string
}

// Lsub is RFC 3501 §6.3.9.
type Lsub struct{ Reference, Pattern string }

// Status is RFC 9051 §6.3.11.
type Status struct {
	Mailbox string
	Items   []StatusItem // each once, in the order of the first mention
}

// StatusItem is a name of a STATUS item, in capitals.
type StatusItem string

// The STATUS items.
const (
	StatusMessages       StatusItem = "MESSAGES"
	StatusRecent         StatusItem = "RECENT" // RFC 3501
	StatusUIDNext        StatusItem = "UIDNEXT"
	StatusUIDValidity    StatusItem = "UIDVALIDITY"
	StatusUnseen         StatusItem = "UNSEEN"
	StatusDeleted        StatusItem = "DELETED"
	StatusSize           StatusItem = "SIZE"            // RFC 8438
	StatusHighestModSeq  StatusItem = "HIGHESTMODSEQ"   // RFC 7162
	StatusMailboxID      StatusItem = "MAILBOXID"       // RFC 8474
	StatusAppendLimit    StatusItem = "APPENDLIMIT"     // RFC 7889
	StatusDeletedStorage StatusItem = "DELETED-STORAGE" // RFC 9208
)

// Name implements Command.
func (*List) Name() string { return "LIST" }

// Name implements Command.
func (*Lsub) Name() string { return "LSUB" }

// Name implements Command.
func (*Status) Name() string { return "STATUS" }
