package spa

// Type is the kind of request of a message.
type Type uint8

// The types of messages.
const (
	Command          Type = 0 // run a command
	Access           Type = 1
	NATAccess        Type = 2 // access to a host behind this one
	AccessTimeout    Type = 3 // like Access, with Message.Timeout
	NATAccessTimeout Type = 4
	LocalNAT         Type = 5 // access through another port of this host
	LocalNATTimeout  Type = 6
)

// String names the type as in "NAT access with timeout".
func (t Type) String() string {
	switch t {
	case Command:
		return "command"
	case Access:
		return "access"
	case NATAccess:
		return "NAT access"
	case AccessTimeout:
		return "access with timeout"
	case NATAccessTimeout:
		return "NAT access with timeout"
	case LocalNAT:
		return "local NAT access"
	case LocalNATTimeout:
		return "local NAT access with timeout"
	}
	return "unknown"
}

// NAT reports whether messages of the type name a destination to translate to.
func (t Type) NAT() bool {
	switch t {
	case NATAccess, NATAccessTimeout, LocalNAT, LocalNATTimeout:
		return true
	}
	return false
}

// LocalNAT reports whether the destination is a port of the host that the packet goes to.
func (t Type) LocalNAT() bool { return t == LocalNAT || t == LocalNATTimeout }

// timed reports whether messages of the type have a timeout.
func (t Type) timed() bool {
	switch t {
	case AccessTimeout, NATAccessTimeout, LocalNATTimeout:
		return true
	}
	return false
}

// opens reports whether messages of the type ask for services to be opened, and for
// nothing else.
func (t Type) opens() bool { return t == Access || t == AccessTimeout }
