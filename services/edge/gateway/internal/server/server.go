package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/endpoint"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/settings"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/upstream"
)

const (
	headSecondsMax  = 10 * time.Second
	idleSecondsMax  = 5 * time.Minute // above Envoy's, so that it is Envoy who closes
	headBytesMax    = 64 << 10
	lastAccepts     = 50 * time.Millisecond
	lastAnswers     = 500 * time.Millisecond
	abandonedToTell = time.Second // what streams get to write their last event in
)

// Server answers REST callers until its context ends.
type Server struct {
	settings settings.Settings
	log      *slog.Logger
	conn     *grpc.ClientConn
	http     *http.Server
	unready  atomic.Bool // readiness says no
	closing  atomic.Bool // connections close after their answer
	abandon  context.CancelCauseFunc
}

// New makes a server that does not listen yet.
func New(s settings.Settings, log *slog.Logger) (*Server, error) {
	conn, err := upstream.Dial(s.RouterAddress, s.RouterWait)
	if err != nil {
		return nil, fmt.Errorf("router address %q: %w", s.RouterAddress, err)
	}
	server := &Server{settings: s, log: log, conn: conn}
	handler, err := newHandler(s, conn, log, &server.unready, &server.closing)
	if err != nil {
		return nil, err
	}
	base, abandon := context.WithCancelCause(context.Background())
	server.abandon = abandon
	server.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headSecondsMax,
		IdleTimeout:       idleSecondsMax,
		MaxHeaderBytes:    headBytesMax,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // broken connections of callers
		BaseContext:       func(net.Listener) context.Context { return base },
		Protocols:         protocols(),
	}
	return server, nil
}

// protocols takes HTTP/2 without TLS besides HTTP/1.1.
func protocols() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return &p
}

// Listen opens the port. When another process has it, the error says which setting changes it.
func (s *Server) Listen() (net.Listener, error) {
	address := net.JoinHostPort(s.settings.Host, strconv.Itoa(s.settings.HTTPPort))
	var plain net.ListenConfig
	plain.SetMultipathTCP(false) // Go's default; it takes no socket filter, and nobody here has two paths
	listener, err := plain.Listen(context.Background(), "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf(
			"%s is in use by another process; set PENSTOCK_GATEWAY_HTTP_PORT, or PENSTOCK_PORT_OFFSET to move the whole stack", address)
	}
	return listener, err
}

// Serve answers until ctx ends, then drains: new requests are refused, open ones finish within Drain.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	defer s.conn.Close()
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(listener) }()
	s.log.Info("started", "address", listener.Addr().String(), "router", s.settings.RouterAddress)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	s.drain(listener)
	s.log.Info("stopped")
	return nil
}

// drain ends in order. New connections are refused first, and those that are open close after their next answer, for a moment:
// so none is closed while the edge sends a request on it. Then it waits for what is open; streams that outlast Drain get an
// error event.
func (s *Server) drain(listener net.Listener) {
	s.log.Info("draining", "seconds_max", s.settings.Drain.Seconds())
	s.unready.Store(true)
	time.Sleep(s.settings.Predrain)
	s.refuse(listener)
	s.closing.Store(true)
	time.Sleep(lastAnswers)
	if s.shutdown(s.settings.Drain) == nil {
		return
	}
	s.abandon(endpoint.ErrDraining)
	if err := s.shutdown(abandonedToTell); err != nil {
		s.log.Warn("requests_abandoned", "error", err.Error())
		_ = s.http.Close()
	}
}

// refuse closes the listener once those who came before are accepted.
func (s *Server) refuse(listener net.Listener) {
	if err := dropAttempts(listener); err != nil {
		s.log.Warn("attempts_not_dropped", "error", err.Error()) // what was not accepted yet is reset
	}
	time.Sleep(lastAccepts)
	_ = listener.Close() // already closed is as good
}

func (s *Server) shutdown(within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return s.http.Shutdown(ctx)
}
