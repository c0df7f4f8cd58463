// Package doctor says what in this host would keep a policy from working: a firewall rule
// that drops granted packets, or knocks before they are seen; a saved ruleset that would
// not load; an NFLOG group that another process has.
//
// Look collects what there is to know of the host, Policy.Check judges it. LaterDrops and
// EarlierDrops judge a ruleset alone. Nothing here changes anything, but for Prove, which
// makes an interface of its own and removes it again.
package doctor

import (
	"nftknock/pkg/hostrules"
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	// Error: something certainly does not work, or will not after the next boot.
	Error Severity = "error"
	// Warning: it may not work, depending on what doctor cannot see.
	Warning Severity = "warning"
)

// A Finding is something that is wrong with the host, or may be.
type Finding struct {
	Severity Severity `json:"severity"`
	Code     string   `json:"code"` // a word; docs/doctor.md explains each
	Message  string   `json:"message"`
	Hint     string   `json:"hint"`
	Where    Where    `json:"where"`
}

// Where is the place of a finding; what does not apply is empty.
type Where struct {
	Family string `json:"family,omitempty"`
	Table  string `json:"table,omitempty"`
	Chain  string `json:"chain,omitempty"`
	Handle uint64 `json:"handle,omitempty"` // of a rule, as nft -a prints it
	Rule   string `json:"rule,omitempty"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"` // from 1
}

// String returns "error: message".
func (f Finding) String() string { return string(f.Severity) + ": " + f.Message }

// inChain is the place of a rule, or of a chain's policy if there is no rule.
func inChain(c *hostrules.Chain, r *hostrules.Rule) Where {
	w := Where{Family: c.Table.Family.String(), Table: c.Table.Name, Chain: c.Name}
	if r != nil {
		w.Handle, w.Rule = r.Handle, r.String()
	}
	return w
}
