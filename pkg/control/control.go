// Package control lets other processes of this host talk to the running
// daemon, over HTTP on a Unix socket that only the daemon's user may open.
//
//	POST /reload    read the policy again
//
// Every answer is a JSON object. If what was asked for failed, it has status
// 409 and says why in "error". Whatever else comes is refused by net/http, in
// bounded time and memory.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// Handler is what the daemon can be asked to do. Its methods may be called
// from several goroutines.
type Handler interface {
	// Reload reads the policy again. Its error says why the old one stays.
	Reload(context.Context) error
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
		respond(w, h.Reload(r.Context()))
	})
	return mux
}

func respond(w http.ResponseWriter, err error) {
	var a answer
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		a.Error = err.Error()
		w.WriteHeader(http.StatusConflict)
	}
	// A client that has gone needs no answer.
	_ = json.NewEncoder(w).Encode(a)
}
