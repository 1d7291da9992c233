// Package server is the gateway's HTTP server: its routes, and its orderly end.
package server

import (
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/docs"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/endpoint"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fault"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/observe"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/request"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/rest"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/settings"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/upstream"
)

// newHandler wires every route to the connection to the router.
func newHandler(
	s settings.Settings, conn *grpc.ClientConn, log *slog.Logger, unready, closing *atomic.Bool,
) (http.Handler, error) {
	typed, err := rest.NewMux(conn, s.Timeout)
	if err != nil {
		return nil, err
	}
	metrics := observe.NewMetrics()
	limits := endpoint.Limits{Timeout: s.Timeout, Stall: s.Stall}
	mux := http.NewServeMux()
	route(mux, http.MethodPost, "/v1/chat/completions", endpoint.NewChat(conn, limits, metrics).Serve)
	route(mux, http.MethodPost, "/v1/completions", endpoint.NewText(conn, limits, metrics).Serve)
	route(mux, http.MethodPost, "/v1/embeddings", endpoint.NewEmbedding(conn, limits).Serve)
	mux.Handle("/v1/", typed)
	route(mux, http.MethodGet, "/healthz", serveHealth)
	route(mux, http.MethodGet, "/readyz", serveReadiness(conn, unready))
	route(mux, http.MethodGet, "/metrics", asHandler(metrics.Handler()))
	route(mux, http.MethodGet, "/openapi.json", asHandler(docs.OpenAPI()))
	route(mux, http.MethodGet, "/docs/", asHandler(docs.Pages()))
	mux.Handle("/{$}", http.RedirectHandler("/docs/", http.StatusFound))
	mux.Handle("/", request.Handler(serveNothing))
	var handler http.Handler = request.Limited(s.BodyBytesMax, s.BodiesBytesMax, mux)
	handler = atMost(s.RequestsMax, lastAnswer(closing, handler))
	return request.Named(observe.Answers(log, metrics, observe.Recovered(log, handler))), nil
}

// route serves a path by one method; others are told so.
func route(mux *http.ServeMux, method, path string, serve request.Handler) {
	mux.Handle(path, request.Handler(func(w http.ResponseWriter, r *http.Request) error {
		request.FromContext(r.Context()).Route = path
		if r.Method != method && !(r.Method == http.MethodHead && method == http.MethodGet) {
			w.Header().Set("Allow", method)
			return fault.MethodNotAllowed(r.Method, r.URL.Path)
		}
		return serve(w, r)
	}))
}

func asHandler(handler http.Handler) request.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		handler.ServeHTTP(w, r)
		return nil
	}
}

func serveNothing(_ http.ResponseWriter, r *http.Request) error {
	return fault.MethodNotFound(r.URL.Path)
}

// atMost bounds the requests at a time.
func atMost(most int64, next http.Handler) http.Handler {
	var inFlight atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer inFlight.Add(-1)
		if inFlight.Add(1) > most && strings.HasPrefix(r.URL.Path, "/v1/") {
			request.WriteError(w, r, fault.Overloaded("Too many requests are in flight; retry."))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// lastAnswer closes connections after their answer once closing is set.
func lastAnswer(closing *atomic.Bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if closing.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

func serveHealth(w http.ResponseWriter, _ *http.Request) error {
	_, err := w.Write([]byte("ok\n"))
	return err
}

// serveReadiness says whether a request would be answered now.
func serveReadiness(conn *grpc.ClientConn, unready *atomic.Bool) request.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		verdict := "ready"
		switch {
		case unready.Load():
			verdict = "draining"
		case !upstream.IsServing(r.Context(), conn):
			verdict = "the router does not serve"
		}
		if verdict != "ready" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, err := w.Write([]byte(verdict + "\n"))
		return err
	}
}
