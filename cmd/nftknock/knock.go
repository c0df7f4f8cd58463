package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/spf13/cobra"

	"nftknock/pkg/client"
	"nftknock/pkg/knock"
)

// knock plans, sends and verifies.
func (o *options) knock(cmd *cobra.Command, r client.Request, out events, stderr io.Writer) error {
	k, err := o.plan(cmd, r)
	if err != nil {
		return err
	}
	o.say(stderr, "sequence from %s, address %s", k.Origin, k.Dst)
	if o.test {
		out.plan(k)
		return nil
	}
	// Everything that is bound to fail fails before the first line says
	// that a sequence is being sent.
	sender, err := client.NewSender(k.Dst, k.Sequence)
	if err != nil {
		return err
	}
	defer sender.Close()
	if sender.RawSocket() {
		o.say(stderr, "ping sockets are not allowed to this user: echo requests use a raw socket")
	}
	out.start(k)
	if err := k.Send(cmd.Context(), sender, func(step int, e knock.Element) { out.sent(k, step, e) }); err != nil {
		return err
	}
	out.finished(k)
	if k.Verify == (knock.Element{}) {
		return nil
	}
	return o.waitOpen(cmd, k, out)
}

// plan lets the flags override what the files say.
func (o *options) plan(cmd *cobra.Command, r client.Request) (client.Knock, error) {
	var verify knock.Element
	if o.verify != "" {
		var err error
		if verify, err = client.ParseVerify(o.verify); err != nil {
			return client.Knock{}, usageError{err}
		}
	}
	k, err := r.Plan(cmd.Context(), net.DefaultResolver.LookupNetIP)
	if err != nil {
		return client.Knock{}, err
	}
	if o.verify != "" {
		k.Verify = verify
	}
	if cmd.Flags().Changed("delay") {
		k.Delay = o.delay
	}
	return k, nil
}

func (o *options) waitOpen(cmd *cobra.Command, k client.Knock, out events) error {
	took, err := client.Verify(cmd.Context(), netip.AddrPortFrom(k.Dst, k.Verify.Port), o.verifyTimeout)
	switch {
	case err == nil:
		out.open(k, took)
		return nil
	case errors.Is(err, client.ErrClosed):
		out.closed(k, o.verifyTimeout)
		return closedError{fmt.Errorf("%s on %s stayed closed for %s after the knock", k.Verify, k.Dst, o.verifyTimeout)}
	}
	return fmt.Errorf("interrupted while waiting for %s on %s to open", k.Verify, k.Dst)
}

func (o *options) say(w io.Writer, format string, args ...any) {
	if o.verbose {
		fmt.Fprintf(w, "nftknock: "+format+"\n", args...)
	}
}
