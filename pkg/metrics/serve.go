package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"

	"nftknock/pkg/unixsocket"
)

// Bounds of the memory and time that clients can use.
const (
	maxConnections = 8
	maxHeader      = 4 << 10
	readTimeout    = 5 * time.Second
	writeTimeout   = 30 * time.Second
)

// socketMode lets the owner and the group of a socket connect to it.
const socketMode = 0o660

// Listen listens at an address of the policy: "unix:/PATH" or "ADDRESS:PORT".
func Listen(address string) (net.Listener, error) {
	var l net.Listener
	path, ok := strings.CutPrefix(address, "unix:")
	var err error
	if ok {
		l, err = unixsocket.Listen(path, socketMode)
	} else {
		l, err = net.Listen("tcp", address)
	}
	if err != nil {
		return nil, fmt.Errorf("metrics at %s: %w", address, err)
	}
	return l, nil
}

// Serve answers GET /metrics until ctx is done, and then closes the listener and returns nil.
// It returns an error if the listener fails before that.
func (m *Metrics) Serve(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxConnections}))
	server := &http.Server{
		Handler:        mux,
		ReadTimeout:    readTimeout,
		WriteTimeout:   writeTimeout,
		MaxHeaderBytes: maxHeader,
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	err := server.Serve(netutil.LimitListener(l, maxConnections))
	if ctx.Err() != nil && errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("metrics at %s: %w", l.Addr(), err)
}
