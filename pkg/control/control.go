// Package control is the control socket of the daemon: HTTP on a Unix socket that only the
// daemon's user can open.
//
//	POST /reload    read the policy again; guard=60s puts it on trial
//	POST /confirm   keep the policy that is on trial
//	POST /revoke    end grants; source=ADDRESS or PREFIX, service=tcp/22 (all
//	                services without it), cut=true to end connections, too
//	GET /status     the state of the daemon; brief=true leaves the grants out
//	GET /grants     the running grants; within=PREFIX
//	GET /policy     what tells whether a policy is the one in force
//	POST /grant     let a source in; source=ADDRESS or PREFIX, what=tcp/22 or the
//	                name of an access, for=30s
//
// The answer to each is a JSON object. Its field "result" says what was done. If the request
// failed, the status is 409 and the field "error" says why; "result" then says what was done
// before that. net/http refuses all other requests, in bounded time and memory.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/netutil"
)

// Handler carries out requests. Its methods may be called from several goroutines, and may
// block.
type Handler interface {
	// Reload reads the policy again. Its error says why the old policy remains in force.
	Reload(context.Context, Reload) (Reloaded, error)
	// Confirm keeps the policy that is on trial.
	Confirm(context.Context, Confirmation) (Confirmed, error)
	// Revoke ends grants and connections. On error the result says what was ended before it.
	Revoke(context.Context, Revocation) (Revoked, error)
	// Status returns the state of the daemon.
	Status(context.Context, StatusQuery) (Status, error)
	// Grants lists running grants.
	Grants(context.Context, GrantQuery) (Grants, error)
	// Running returns what tells whether a policy is the one in force.
	Running(context.Context, PolicyQuery) (Running, error)
	// Grant lets a source in without a knock. On error the result says what was granted
	// before it.
	Grant(context.Context, Grantee) (Granted, error)
}

// Bounds of the memory and time that clients can use.
const (
	maxConnections = 16
	maxHeader      = 4 << 10
	readTimeout    = 5 * time.Second
	idleTimeout    = 30 * time.Second
)

// answer is the body of every answer, with the result of one kind of request.
type answer[T any] struct {
	Error  string `json:"error,omitempty"`
	Result T      `json:"result"`
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
		ConnContext:       withPeer,
	}
	// Close makes Serve return. Shutdown would wait for the requests.
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	err := server.Serve(netutil.LimitListener(peerListener{l}, maxConnections))
	if ctx.Err() != nil && errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("control socket: %w", err)
}

// routes has a handler for each request of the package comment.
func routes(h Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /reload", answering(parseReload, h.Reload))
	mux.HandleFunc("POST /confirm", answering(parseConfirmation, h.Confirm))
	mux.HandleFunc("POST /revoke", answering(parseRevocation, h.Revoke))
	mux.HandleFunc("GET /status", answering(parseStatusQuery, h.Status))
	mux.HandleFunc("GET /grants", answering(parseGrantQuery, h.Grants))
	mux.HandleFunc("GET /policy", answering(parsePolicyQuery, h.Running))
	mux.HandleFunc("POST /grant", answering(parseGrantee, h.Grant))
	return mux
}

// answering handles requests of one kind: it parses the query and answers with what do
// returns.
func answering[Q, T any](parse func(url.Values) (Q, error), do func(context.Context, Q) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var a answer[T]
		query, err := parse(r.URL.Query())
		if err == nil {
			a.Result, err = do(r.Context(), query)
		}
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			a.Error = err.Error()
			w.WriteHeader(http.StatusConflict)
		}
		// An error means that the client has gone.
		_ = json.NewEncoder(w).Encode(a)
	}
}
