// Package control is the control socket of the daemon: HTTP on a Unix socket that only the
// daemon's user can open.
//
//	POST /reload    read the policy again
//	POST /revoke    end grants; source=ADDRESS or PREFIX, service=tcp/22 (all
//	                services without it), cut=true to end connections, too
//
// The answer to each is a JSON object. If the request failed, the status is 409 and the
// field "error" says why; the other fields say what was done before that. net/http refuses all other requests, in bounded time and memory.
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

// Handler carries out requests. Its methods may be called from several goroutines, and may
// block.
type Handler interface {
	// Reload reads the policy again. Its error says why the old policy remains in force.
	Reload(context.Context) error
	// Revoke ends grants and connections. On error the result says what was ended before it.
	Revoke(context.Context, Revocation) (Revoked, error)
}

// A Revocation says which grants to end.
type Revocation struct {
	Source  netip.Prefix // the grants of sources within this prefix
	Service string       // to services within this one, such as "tcp/22"; empty for all
	Cut     bool         // end connections, too, including those that no grant admitted
}

// Revoked says what a Revocation has ended.
type Revoked struct {
	Grants      int `json:"grants"`
	Connections int `json:"connections"`
	// StillIn names the grants that continue although they are for some of the sources and
	// services: each is for a whole prefix or range of ports, of which only a part was to be
	// revoked.
	StillIn string `json:"still_in,omitempty"`
}

// Bounds of the memory and time that clients can use.
const (
	maxConnections = 16
	maxHeader      = 4 << 10
	readTimeout    = 5 * time.Second
	idleTimeout    = 30 * time.Second
)

// answer is the body of every answer.
type answer struct {
	Error string `json:"error,omitempty"`
	*Revoked
}

// Serve answers requests until ctx is done, and then closes the listener and all connections
// and returns nil. It does not wait for handlers that are running: the context of their
// requests is derived from ctx. It returns an error if the listener fails before that.
func Serve(ctx context.Context, l net.Listener, h Handler) error {
	server := &http.Server{
		Handler:           routes(h),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	// Close makes Serve return. Shutdown would wait for the requests.
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	err := server.Serve(netutil.LimitListener(l, maxConnections))
	if ctx.Err() != nil && errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("control socket: %w", err)
}

// routes has a handler for each request of the package comment.
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

// parseRevocation parses the form that encode writes.
func parseRevocation(query url.Values) (Revocation, error) {
	source, err := ParseSource(query.Get("source"))
	return Revocation{Source: source, Service: query.Get("service"), Cut: query.Get("cut") == "true"}, err
}

func (r Revocation) encode() string {
	return url.Values{"source": {r.Source.String()}, "service": {r.Service}, "cut": {strconv.FormatBool(r.Cut)}}.Encode()
}

// ParseSource parses an address or a prefix, such as "192.0.2.10" or "2001:db8::/64". An
// address is the prefix of its full length. It returns an error for a prefix with host bits
// and for an address with a zone.
func ParseSource(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("bad source %q: want an address or a prefix, such as 192.0.2.10 or 2001:db8::/64", s)
	}
	// ::ffff:192.0.2.0/120 is an IPv4 prefix of 24 bits: the address begins after 96.
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p.Masked() != p {
		return netip.Prefix{}, fmt.Errorf("bad source %q: it has bits beyond its prefix: want %s, or the address %s", s, p.Masked(), p.Addr())
	}
	return p, nil
}

// respond writes an answer, with the error if there is one.
func respond(w http.ResponseWriter, a answer, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		a.Error = err.Error()
		w.WriteHeader(http.StatusConflict)
	}
	// An error means that the client has gone.
	_ = json.NewEncoder(w).Encode(a)
}
