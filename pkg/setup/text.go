package setup

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"nftknock/pkg/port"
)

// A Knock is a kind of knock that a first policy can have.
type Knock string

// The kinds of knock of first policies.
const (
	SIV    Knock = "siv"    // encrypted, with a random key
	Shared Knock = "shared" // a random sequence
	TOTP   Knock = "totp"   // one-time codes, with a random secret
)

// Knocks are all kinds.
var Knocks = []Knock{SIV, Shared, TOTP}

// Draft says what is in a first policy.
type Draft struct {
	Knock    Knock
	Open     []port.Range
	KeyFile  string   // of SIV and TOTP: an absolute path
	Sequence []string // of Shared
	Reject   bool     // hidden ports answer as closed ones do
	// StateDir and Socket are left out where they are empty: the defaults count then.
	StateDir, Socket string
}

// grantTime is how long the access of a first policy lets new connections begin.
const grantTime = "30s"

// Policy returns the text of the policy.
func (d Draft) Policy() string {
	var b strings.Builder
	b.WriteString("# The first policy of this host, by \"nftknockd setup\". docs/policy.md describes every key;\n" +
		"# \"nftknockd show-config\" prints those that are not here with their values.\n\n")
	if d.StateDir != "" {
		fmt.Fprintf(&b, "[state]\ndir = %s\n\n", quote(d.StateDir))
	}
	if d.Socket != "" {
		fmt.Fprintf(&b, "[control]\nsocket = %s\n\n", quote(d.Socket))
	}
	if d.Reject {
		b.WriteString("# No firewall of this host drops packets to closed ports. Hidden ones answer as those do.\n[nftables]\nhide = \"reject\"\n\n")
	}
	b.WriteString("[[access]]\nname = \"first\"\n")
	switch d.Knock {
	case Shared:
		fmt.Fprintf(&b, "knock = \"shared\"\nsequence = %s\n", list(d.Sequence))
	case TOTP:
		fmt.Fprintf(&b, "knock = \"totp\"\nkey_file = %s\n", quote(d.KeyFile))
	default:
		fmt.Fprintf(&b, "knock = \"encrypted\"\nkey_file = %s\n", quote(d.KeyFile))
	}
	var open []string
	for _, s := range d.Open {
		open = append(open, s.String())
	}
	fmt.Fprintf(&b, "open = %s\ntimeout = %q\n", list(open), grantTime)
	return b.String()
}

// Client returns what the client needs: the entry of its hosts.toml for a host, and the command
// that knocks. An encrypted knock names one service to open: there is an entry per service.
func (d Draft) Client(host string) string {
	var b strings.Builder
	b.WriteString("On the client, put this into ~/.config/nftknock/hosts.toml (mode 0600):\n\n")
	for i, s := range d.Open {
		name := host
		if i > 0 {
			if d.Knock != SIV {
				break // one knock opens all
			}
			name = host + "-" + strings.NewReplacer("/", "-").Replace(s.String())
		}
		fmt.Fprintf(&b, "    [%s]\n    address = %s\n", quote(name), quote(host))
		switch d.Knock {
		case Shared:
			fmt.Fprintf(&b, "    sequence = %s\n", list(d.Sequence))
		case TOTP:
			b.WriteString("    knock = \"totp\"\n")
		default:
			fmt.Fprintf(&b, "    knock = \"encrypted\"\n    key_file = \"nftknock.key\"\n    open = %s\n", quote(s.String()))
		}
		b.WriteString("\n")
	}
	switch d.Knock {
	case SIV:
		fmt.Fprintf(&b, "and copy the key file %s of this host to ~/.config/nftknock/nftknock.key there (mode 0600).\n", d.KeyFile)
	case TOTP:
		fmt.Fprintf(&b, "and bring the secret in %s into the authenticator app.\n", d.KeyFile)
	}
	fmt.Fprintf(&b, "\nThen this command knocks:\n\n    nftknock %s\n", host)
	return b.String()
}

// quote writes a string of TOML, which a string of JSON is too.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic("setup: " + err.Error()) // a string always encodes
	}
	return string(b)
}

func list(values []string) string {
	var quoted []string
	for _, v := range values {
		quoted = append(quoted, quote(v))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// The length of a random sequence, and its ports: five of 64511 ports of two protocols are
// about 84 bits, and a scan in order does not make them.
const (
	sequenceLength = 5
	firstPort      = 1024
	lastPort       = 65535
)

// NewSequence returns a random sequence of tcp and udp ports which are all different, not among
// the services of the host, and neither ascending nor descending.
func NewSequence(services []Service) []string {
	for {
		var ports []int64
		var sequence []string
		for len(ports) < sequenceLength {
			p := random(lastPort-firstPort+1) + firstPort
			taken := slices.ContainsFunc(services, func(s Service) bool { return int64(s.First) == p })
			if taken || slices.Contains(ports, p) {
				continue
			}
			ports = append(ports, p)
			sequence = append(sequence, fmt.Sprintf("%s/%d", []string{"tcp", "udp"}[random(2)], p))
		}
		down := slices.Clone(ports)
		slices.Reverse(down)
		if !slices.IsSorted(ports) && !slices.IsSorted(down) {
			return sequence
		}
	}
}

// random returns a random number below n.
func random(n int64) int64 {
	r, err := rand.Int(rand.Reader, big.NewInt(n))
	if err != nil {
		panic("setup: " + err.Error()) // crypto/rand never fails: see its documentation
	}
	return r.Int64()
}
