package wire

// Command is what a client asks for: one of the pointer types of this package
// such as *Fetch.
type Command interface {
	// Name is the command's name in capitals, with "UID " before it where
	// that changes its arguments: "UID FETCH".
	Name() string
}

// Request is a command with the tag by which its completion is named.
type Request struct {
	Tag     string
	Command Command
}

// uidName puts "UID " before a name if uid is set.
func uidName(uid bool, name string) string {
	if uid {
		return "UID " + name
	}
	return name
}
