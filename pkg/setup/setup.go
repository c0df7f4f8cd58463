// Package setup makes the first policy of a host: it finds what listens there, writes a policy
// with a random key or sequence, and notes that the policy is on trial, so that the daemon that
// starts with it undoes everything unless a knock arrives or someone confirms it.
//
// It writes three files and changes nothing else: the key, the note and the policy, in this
// order. Whatever interrupts it, a daemon never runs a policy of setup that is not on trial.
package setup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"nftknock/pkg/keygen"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
	"nftknock/pkg/trial"
)

// Config says what to set up, and where.
type Config struct {
	File  string        // of the policy: an absolute path
	Draft Draft         // without services to open, those of ssh; KeyFile and Sequence are chosen by Run
	Guard time.Duration // of the trial
	// Host is how the client calls this host, and Session the address of the client that the
	// setup is typed at. Both may be empty.
	Host    string
	Session netip.Addr

	Yes    bool // ask nothing
	DryRun bool // print, and write nothing

	Proc       fs.FS                     // /proc
	Interfaces func() ([]string, error)  // the host's
	Worked     func(source string) error // an error if a policy has worked on this host before
	Running    func(socket string) bool  // whether a daemon listens on a control socket
	// Answers, unless nil, reports whether the closed ports of this host answer, by any way on
	// which these services are reached, so that a silent port would stand out.
	Answers func([]port.Range) bool
	// Warnings, unless nil, returns what in this host would keep the policy from working. A
	// warning may have several lines.
	Warnings func(*policy.Policy) []string

	In       *bufio.Reader
	Out      io.Writer
	Terminal bool // In and Out are one
}

// A Refusal is the error of a setup that would replace what an administrator has made, or that
// needs another command line.
type Refusal struct{ Err, Hint string }

func (r Refusal) Error() string { return r.Err }

// ErrDeclined: whoever was asked does not want to start.
var ErrDeclined = errors.New("nothing was started, and nothing was changed")

// Run prepares the first policy, and returns it when all is written. With DryRun nothing is, and
// the result is nil. A policy of an earlier setup that nobody has confirmed is tried again as it
// is.
func Run(c Config) (*policy.Policy, error) {
	if !c.Yes && !c.DryRun && !c.Terminal {
		return nil, Refusal{"setup asks questions, and this is no terminal", "add --yes to start with the defaults, or --dry-run to look at them"}
	}
	if unconfirmed, err := c.look(); err != nil {
		return nil, err
	} else if unconfirmed != nil {
		return c.again(unconfirmed)
	}
	services, err := Services(c.Proc)
	if err != nil {
		return nil, fmt.Errorf("cannot find out what listens on this host: %w", err)
	}
	if err := c.choose(services); err != nil {
		return nil, err
	}
	p, diags := policy.Parse(c.File, []byte(c.Draft.Policy()))
	if diags.HasErrors() {
		return nil, Refusal{diags.Err().Error(), "choose other services with --open"}
	}
	fmt.Fprintf(c.Out, "\nThe policy, %s:\n\n%s\n", c.File, indent(c.Draft.Policy()))
	if c.DryRun {
		c.show(p)
		fmt.Fprintf(c.Out, "\n%s\nNothing was written: this is a dry run.\n", c.Draft.Client(c.host()))
		return nil, nil
	}
	if err := c.wantStopped(p); err != nil {
		return nil, err
	}
	return p, c.write(p)
}

// look refuses a host that has a policy already, unless that is the untouched sample or one of
// an earlier setup that nobody has confirmed, which it returns.
func (c *Config) look() (unconfirmed *policy.Policy, err error) {
	if err := c.Worked(c.File); err != nil {
		return nil, Refusal{err.Error(), `setup is for the first policy; to try a change, run "nftknockd reload --guard 60s"`}
	}
	text, err := os.ReadFile(c.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, c.lookBeside()
	case err != nil:
		return nil, err
	}
	if sample, err := os.ReadFile(c.File + ".sample"); err == nil && string(sample) == string(text) {
		return nil, c.lookBeside()
	}
	if p, diags := policy.Outline(c.File); !diags.HasErrors() {
		note, err := trial.Read(p.State.Dir)
		if err != nil {
			return nil, err
		}
		if note != nil && note.First {
			return p, c.wantStopped(p)
		}
	}
	return nil, Refusal{c.File + " is there already, and setup never overwrites a policy",
		`to start with it and undo that unless it works, run "nftknockd run --guard 60s"`}
}

// wantStopped refuses a host whose daemon runs.
func (c *Config) wantStopped(p *policy.Policy) error {
	if !c.Running(p.Control.Socket) {
		return nil
	}
	return Refusal{"the daemon is running", `"nftknockd confirm" keeps a policy that is on trial`}
}

// lookBeside refuses a host with accesses in conf.d, which would come into force, too.
func (c *Config) lookBeside() error {
	dir := filepath.Join(filepath.Dir(c.File), "conf.d")
	found, err := filepath.Glob(filepath.Join(dir, "*.toml"))
	if err == nil && len(found) > 0 {
		return Refusal{"there are accesses in " + dir + " already", "move them away, or write the policy yourself"}
	}
	return err
}

// again tries a policy of an earlier setup once more.
func (c *Config) again(p *policy.Policy) (*policy.Policy, error) {
	fmt.Fprintf(c.Out, "The policy %s was on trial, and nobody confirmed it: it is tried again as it is.\n", c.File)
	c.show(p)
	if c.DryRun {
		return nil, nil
	}
	if err := c.wantStart(); err != nil {
		return nil, err
	}
	return p, c.note(p)
}

// choose completes the draft.
func (c *Config) choose(services []Service) error {
	fmt.Fprintln(c.Out, "Services that other hosts can reach:")
	for _, s := range services {
		fmt.Fprintln(c.Out, "  ", s)
	}
	if len(services) == 0 {
		fmt.Fprintln(c.Out, "   none")
	}
	if len(c.Draft.Open) == 0 {
		c.Draft.Open = SSH(services)
		if err := c.askServices(); err != nil {
			return err
		}
	}
	if len(c.Draft.Open) == 0 {
		return Refusal{"no ssh listens on this host", "name the services to hide, such as --open tcp/22,tcp/443"}
	}
	for _, open := range c.Draft.Open {
		if !listens(services, open) {
			fmt.Fprintf(c.Out, "Note: nothing listens on %s now.\n", open)
		}
	}
	c.Draft.Reject = c.Answers != nil && c.Answers(c.Draft.Open)
	switch c.Draft.Knock {
	case Shared:
		c.Draft.Sequence = NewSequence(services)
	default:
		c.Draft.KeyFile = filepath.Join(filepath.Dir(c.File), "keys", "first")
	}
	return nil
}

func listens(services []Service, open port.Range) bool {
	for _, s := range services {
		if open.Overlaps(s.Range) {
			return true
		}
	}
	return false
}

// askServices asks which services to hide.
func (c *Config) askServices() error {
	if c.Yes || c.DryRun {
		return nil
	}
	var names []string
	for _, s := range c.Draft.Open {
		names = append(names, s.String())
	}
	answer, err := c.ask(fmt.Sprintf("Services to hide [%s]: ", strings.Join(names, ",")))
	if err != nil || answer == "" {
		return err
	}
	c.Draft.Open, err = ParseServices(answer)
	return err
}

// ParseServices parses services with commas between them, such as "tcp/22,udp/51820".
func ParseServices(text string) ([]port.Range, error) {
	var found []port.Range
	for _, name := range strings.Split(text, ",") {
		s, err := port.ParseService(strings.TrimSpace(name))
		if err != nil {
			return nil, Refusal{err.Error(), "write services as in tcp/22,udp/51820"}
		}
		found = addNew(found, s)
	}
	return found, nil
}

// show says what will be hidden, and what that means for sessions that stand.
func (c *Config) show(p *policy.Policy) {
	var open []port.Range
	for _, a := range p.Accesses {
		for _, s := range a.Open {
			open = addNew(open, s)
		}
	}
	var names []string
	for _, s := range open {
		names = append(names, s.String())
	}
	on := "all interfaces but lo"
	if list, err := c.Interfaces(); err == nil && len(list) > 0 {
		on += " (now: " + strings.Join(list, ", ") + ")"
	}
	fmt.Fprintf(c.Out, "New connections to %s on %s will need a knock.\n", strings.Join(names, ", "), on)
	fmt.Fprintln(c.Out, "Connections that stand now continue.")
	if c.Session.IsValid() {
		fmt.Fprintf(c.Out, "So does this session, from %s: leave it open.\n", c.Session)
	}
	fmt.Fprintf(c.Out, "Unless a knock arrives or \"nftknockd confirm\" is run within %v, all of this is undone.\n", c.Guard)
	if c.Warnings != nil {
		for _, w := range c.Warnings(p) {
			fmt.Fprintln(c.Out, "Warning:", w)
		}
	}
}

// write writes the key, the note and the policy, and asks whether to start. If the answer is no,
// all three are removed.
func (c *Config) write(p *policy.Policy) error {
	if err := c.makeKey(); err != nil {
		return err
	}
	c.show(p)
	fmt.Fprintf(c.Out, "\n%s\n", c.Draft.Client(c.host()))
	err := c.wantStart()
	if err == nil {
		err = c.note(p)
	}
	if err == nil {
		err = c.writePolicy()
	}
	if err != nil {
		return errors.Join(err, c.removeKey())
	}
	return nil
}

func (c *Config) wantStart() error {
	if c.Yes {
		return nil
	}
	answer, err := c.ask(fmt.Sprintf("Prepare the client first, then start the trial of %v? [y/N] ", c.Guard))
	if err != nil {
		return err
	}
	if answer = strings.ToLower(answer); answer != "y" && answer != "yes" {
		return ErrDeclined
	}
	return nil
}

// note notes that the policy is a first one, and not confirmed. NB: it comes before the policy,
// whose digest it need not know: see the daemon's start.
func (c *Config) note(p *policy.Policy) error {
	return trial.Write(p.State.Dir, trial.Note{First: true, Guard: c.Guard, Prepared: true})
}

// makeKey makes the key file, if the knock has one.
func (c *Config) makeKey() error {
	if err := os.MkdirAll(filepath.Dir(c.File), 0o700); err != nil {
		return err
	}
	if c.Draft.KeyFile == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(c.Draft.KeyFile), 0o700); err != nil {
		return err
	}
	o := keygen.Options{Side: keygen.Server, Output: c.Draft.KeyFile, Brief: true}
	if c.Draft.Knock == TOTP {
		o.TOTP, o.Issuer, o.Account = true, c.host(), "first"
	}
	if o.TOTP && c.Terminal {
		return keygen.Run(o, c.Out, c.Out) // shows the secret, as a QR code, too
	}
	return keygen.Run(o, io.Discard, io.Discard)
}

func (c *Config) removeKey() error {
	if c.Draft.KeyFile == "" {
		return nil
	}
	return os.Remove(c.Draft.KeyFile)
}

// writePolicy puts the policy in its place as a whole, and never over one that has come there
// meanwhile. Only the sample is replaced.
func (c *Config) writePolicy() error {
	f, err := os.CreateTemp(filepath.Dir(c.File), ".nftknockd-*.new") // has mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // the policy has another name by then, if it is good
	_, err = f.WriteString(c.Draft.Policy())
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if _, err := os.Lstat(c.File); err == nil {
		return os.Rename(f.Name(), c.File) // look has found the sample there
	}
	// Unlike rename(2), link(2) does not replace a file.
	return os.Link(f.Name(), c.File)
}

// host is how the client calls this host.
func (c *Config) host() string {
	if c.Host == "" {
		return "ADDRESS"
	}
	return c.Host
}

// ask prints a question and returns the answer.
func (c *Config) ask(question string) (string, error) {
	fmt.Fprint(c.Out, question)
	answer, err := c.In.ReadString('\n')
	if err != nil {
		return "", ErrDeclined // the end of the input
	}
	return strings.TrimSpace(answer), nil
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
}
