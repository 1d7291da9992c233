package rest

import (
	"context"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
)

type probeKey struct{}

// probed stops a request that only asks whether a route exists.
func probed(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, parameters map[string]string) {
		if found, ok := r.Context().Value(probeKey{}).(*bool); ok {
			*found = true
			return
		}
		next(w, r, parameters)
	}
}

// allowed lists the methods that a path takes, for the header Allow (RFC 9110, 15.5.6).
func allowed(mux *runtime.ServeMux, r *http.Request) string {
	var methods []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodDelete} {
		if method != r.Method && takes(mux, r, method) {
			methods = append(methods, method)
		}
	}
	return strings.Join(methods, ", ")
}

func takes(mux *runtime.ServeMux, r *http.Request, method string) bool {
	found := false
	probe := r.Clone(context.WithValue(r.Context(), probeKey{}, &found))
	probe.Method, probe.Body = method, http.NoBody
	mux.ServeHTTP(nowhere{}, probe)
	return found
}

// isProbe tells whether a request only asks whether a route exists; its routing errors must not probe again.
func isProbe(r *http.Request) bool { return r.Context().Value(probeKey{}) != nil }

// nowhere takes the answer to a probe.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) WriteHeader(int)             {}
