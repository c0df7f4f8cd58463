package event

// Hides says who hides the services: the table of the daemon, or another firewall of this host
// (modes set and mark), for which the daemon's table hides nothing. The zero value is the
// table.
type Hides struct{ Elsewhere bool }

func (h Hides) hides() bool { return !h.Elsewhere }
