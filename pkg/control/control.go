// Package control lets other processes of this host talk to the running
// daemon, over HTTP on a Unix socket that only the daemon's user may open.
//
//	POST /reload    read the policy again
//	POST /revoke    end grants; source=ADDRESS or PREFIX, service=tcp/22 (all
//	                without it), cut=true to end connections, too
//
// Every answer is a JSON object. If the request failed, the answer has status 409
// and says why in "error". All other requests are refused by net/http, in bounded
// time and memory.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/net/netutil"
)

// Handler carries out requests. Its methods may be called from several goroutines.
type Handler interface {
	// Reload reads the policy again. Its error says why the old one is kept.
	Reload(context.Context) error
	// Revoke ends grants.
	Revoke(context.Context, Revocation) (Revoked, error)
}

// A Revocation says which grants are to end.
type Revocation struct {
	Source  netip.Prefix // those of sources within it
	Service string       // such as "tcp/22", and those within it; empty for all
	Cut     bool         // also end connections, whatever let them in
}

// Revoked says what was ended.
type Revoked struct {
	Grants      int `json:"grants"`
	Connections int `json:"connections"`
	// StillIn names grants that go on and let in some of the sources to some of the
	// services, since they are for more than was to be revoked: a whole prefix, or a
	// range of ports.
	StillIn string `json:"still_in,omitempty"`
}

// Bounds of what a client may make the daemon hold.
const (
	maxConnections = 16
	maxHeader      = 4 << 10
	readTimeout    = 5 * time.Second
	idleTimeout    = 30 * time.Second
)

// answer is the body of every response.
type answer struct {
	Error string `json:"error,omitempty"`
	*Revoked
}

// Serve answers requests until ctx is done, then closes the listener and
// returns nil, without waiting for requests that are under way: their
// handlers have the context of ctx.
func Serve(ctx context.Context, l net.Listener, h Handler) error {
	server := &http.Server{
		Handler:           routes(h),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	err := server.Serve(netutil.LimitListener(l, maxConnections))
	if ctx.Err() != nil && errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("control socket: %w", err)
}

func routes(h Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /reload", func(w http.ResponseWriter, r *http.Request) {
		respond(w, answer{}, h.Reload(r.Context()))
	})
	mux.HandleFunc("POST /revoke", func(w http.ResponseWriter, r *http.Request) {
		revocation, err := parseRevocation(r.URL.Query())
		if err != nil {
			respond(w, answer{}, err)
			return
		}
		done, err := h.Revoke(r.Context(), revocation)
		respond(w, answer{Revoked: &done}, err)
	})
	return mux
}

// parseRevocation reads what encode of a Revocation writes.
func parseRevocation(query url.Values) (Revocation, error) {
	source, err := ParseSource(query.Get("source"))
	return Revocation{Source: source, Service: query.Get("service"), Cut: query.Get("cut") == "true"}, err
}

func (r Revocation) encode() string {
	return url.Values{"source": {r.Source.String()}, "service": {r.Service}, "cut": {strconv.FormatBool(r.Cut)}}.Encode()
}

// ParseSource reads an address or a prefix.
func ParseSource(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("bad source %q: want an address or a prefix, such as 192.0.2.10 or 2001:db8::/64", s)
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p.Masked() != p {
		return netip.Prefix{}, fmt.Errorf("bad source %q: it has bits beyond its prefix: want %s, or the address %s", s, p.Masked(), p.Addr())
	}
	return p, nil
}

func respond(w http.ResponseWriter, a answer, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		a.Error = err.Error()
		w.WriteHeader(http.StatusConflict)
	}
	// An error means that the client has gone.
	_ = json.NewEncoder(w).Encode(a)
}
