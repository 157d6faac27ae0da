package wire

// GetMetadata is RFC 5464 §4.2.
type GetMetadata struct {
	Mailbox string // "": the server's own
	Entries []string
	MaxSize *uint32 // octets; nil: none given
	Depth   int     // 0, 1 or DepthInfinity
}

// DepthInfinity is DEPTH infinity of GETMETADATA.
const DepthInfinity = -1

// SetMetadata is RFC 5464 §4.3.
type SetMetadata struct {
	Mailbox string // "": the server's own
	Entries []MetadataEntry
}

// MetadataEntry is an annotation; a nil Value removes it.
type MetadataEntry struct {
	Name  string // as sent, such as /private/comment
	Value []byte
}

// Name implements Command.
func (*GetMetadata) Name() string { return "GETMETADATA" }

// Name implements Command.
func (*SetMetadata) Name() string { return "SETMETADATA" }
