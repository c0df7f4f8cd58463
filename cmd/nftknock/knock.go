package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/client"
	"nftknock/pkg/port"
)

// run plans, sends and verifies.
func (o *options) run(cmd *cobra.Command, r client.Request, out events, stderr io.Writer) error {
	k, err := o.prepare(cmd, r, stderr)
	if err != nil {
		return err
	}
	if o.test {
		out.plan(k)
		return nil
	}
	// NB: what can be known to fail must fail here, before the line that says that
	// a sequence is being sent.
	sender, err := client.NewSender(k)
	if err != nil {
		return err
	}
	defer sender.Close()
	if sender.RawSocket() {
		o.say(stderr, "ping sockets are not allowed to this user: echo requests use a raw socket")
	}
	out.start(k)
	err = k.Send(cmd.Context(), sender, func(round, step int, p client.Packet) { out.sent(k, round, step, p) })
	if err != nil {
		return err
	}
	out.finished(k)
	if k.Verify == (port.Range{}) {
		return nil
	}
	return o.waitOpen(cmd, k, out)
}

// prepare makes the knock that is to be sent now.
func (o *options) prepare(cmd *cobra.Command, r client.Request, stderr io.Writer) (*client.Knock, error) {
	p, err := r.Plan(cmd.Context(), net.DefaultResolver.LookupNetIP)
	if err != nil {
		return nil, err
	}
	if err := o.fits(p.Kind); err != nil {
		return nil, commands.UsageError{Err: err}
	}
	for _, w := range p.Warnings {
		fmt.Fprintf(stderr, "nftknock: warning: %s\n", w)
	}
	o.say(stderr, "%s knock from %s, address %s", p.Kind, p.Origin, p.Dst)
	if p.Kind == client.Encrypted || p.Kind == client.SPA {
		o.say(stderr, "the knock asks to open %s to %s, as user %s", services(p.Open), allowed(p), p.User)
	}
	ring := client.Keyring{Getenv: os.Getenv, Prompt: prompt(cmd.Context(), stderr)}
	if o.code != "" {
		if ring.Code, err = client.ParseCode(o.code); err != nil {
			return nil, err
		}
	}
	keys, err := p.Secrets(ring)
	if err != nil {
		return nil, err
	}
	defer keys.Wipe()
	return p.Knock(keys, time.Now())
}

func services(open []port.Range) string {
	var list []string
	for _, e := range open {
		list = append(list, e.String())
	}
	return strings.Join(list, ", ")
}

func allowed(p *client.Plan) string {
	if p.Allow == client.Source {
		return "the sender of the packets"
	}
	return p.Allow.String()
}

func (o *options) waitOpen(cmd *cobra.Command, k *client.Knock, out events) error {
	took, err := client.Verify(cmd.Context(), netip.AddrPortFrom(k.Dst, k.Verify.First), o.verifyTimeout)
	switch {
	case err == nil:
		out.open(k, took)
		return nil
	case errors.Is(err, client.ErrClosed):
		out.closed(k, o.verifyTimeout)
		return closedError{fmt.Errorf("%s on %s stayed closed for %s after the knock", k.Verify, k.Dst, o.verifyTimeout), k.Kind}
	}
	return fmt.Errorf("interrupted while waiting for %s on %s to open", k.Verify, k.Dst)
}

func (o *options) say(w io.Writer, format string, args ...any) {
	if o.verbose {
		fmt.Fprintf(w, "nftknock: "+format+"\n", args...)
	}
}
