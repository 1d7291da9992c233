package request

import (
	"net/http"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fault"
)

// Handler answers a request, or returns an error before it has written anything.
type Handler func(w http.ResponseWriter, r *http.Request) error

// ServeHTTP answers, the error too.
func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h(w, r); err != nil {
		WriteError(w, r, err)
	}
}

// WriteError answers with an error of any kind.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	scope := FromContext(r.Context())
	f := fault.From(err)
	scope.Reason = f.Reason
	f.Write(w, scope.ID)
}
