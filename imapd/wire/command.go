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

// grammar is how a command's arguments are read.
type grammar struct {
	read func(p *parser, uid bool) Command
	uid  bool // may follow UID
}

// commands are all that can be read, by name.
var commands = map[string]grammar{
	"CAPABILITY":     {read: bare[Capability]},
	"NOOP":           {read: bare[Noop]},
	"LOGOUT":         {read: bare[Logout]},
	"STARTTLS":       {read: bare[StartTLS]},
	"UNAUTHENTICATE": {read: bare[Unauthenticate]},
	"NAMESPACE":      {read: bare[Namespace]},
	"IDLE":           {read: bare[Idle]},
	"CLOSE":          {read: bare[Close]},
	"UNSELECT":       {read: bare[Unselect]},
	"CHECK":          {read: bare[Check]},
	"LOGIN":          {read: (*parser).login},
	"AUTHENTICATE":   {read: (*parser).authenticate},
	"ENABLE":         {read: (*parser).enable},
	"ID":             {read: (*parser).id},
	"COMPRESS":       {read: (*parser).compress},
	"LANGUAGE":       {read: (*parser).language},
	"SELECT":         {read: (*parser).selectMailbox},
	"EXAMINE":        {read: (*parser).examine},
	"CREATE":         {read: (*parser).create},
	"DELETE":         {read: (*parser).delete},
	"RENAME":         {read: (*parser).rename},
	"SUBSCRIBE":      {read: (*parser).subscribe},
	"UNSUBSCRIBE":    {read: (*parser).unsubscribe},
	"LIST":           {read: (*parser).listMailboxes},
	"LSUB":           {read: (*parser).lsub},
	"STATUS":         {read: (*parser).status},
	"APPEND":         {read: (*parser).append},
	"REPLACE":        {read: (*parser).replace, uid: true},
	"EXPUNGE":        {read: (*parser).expunge, uid: true},
	"FETCH":          {read: (*parser).fetch, uid: true},
	"STORE":          {read: (*parser).store, uid: true},
	"COPY":           {read: (*parser).copy, uid: true},
	"MOVE":           {read: (*parser).move, uid: true},
	"SEARCH":         {read: (*parser).search, uid: true},
	"SORT":           {read: (*parser).sort, uid: true},
	"THREAD":         {read: (*parser).thread, uid: true},
	"ESEARCH":        {read: (*parser).esearch},
	"NOTIFY":         {read: (*parser).notify},
	"GETMETADATA":    {read: (*parser).getMetadata},
	"SETMETADATA":    {read: (*parser).setMetadata},
	"GETACL":         {read: (*parser).getACL},
	"SETACL":         {read: (*parser).setACL},
	"DELETEACL":      {read: (*parser).deleteACL},
	"LISTRIGHTS":     {read: (*parser).listRights},
	"MYRIGHTS":       {read: (*parser).myRights},
	"GETQUOTA":       {read: (*parser).getQuota},
	"GETQUOTAROOT":   {read: (*parser).getQuotaRoot},
	"SETQUOTA":       {read: (*parser).setQuota},
}

// bare makes a command without arguments.
func bare[T any, C interface {
	*T
	Command
}](*parser, bool) Command {
	return C(new(T))
}

// any reads a command's name and arguments, to the end of the command, or to
// the literal of a message.
func (p *parser) any() Command {
	name := p.label("a command")
	uid := name == "UID"
	if uid {
		p.sp()
		name = p.label("a command")
	}
	g, ok := commands[name]
	if p.err == nil && (!ok || uid && !g.uid) {
		p.refused("", ErrUnknownCommand)
	}
	if p.err != nil {
		return nil
	}
	p.command = uidName(uid, name)
	c := g.read(p, uid)
	if !p.message {
		p.end()
	}
	return c
}
