package request

import (
	"errors"
	"io"
	"net/http"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fault"
)

const bodyBytesFirst = 4096

// Limited refuses bodies above bytesMax: at once when their length is said, else where they pass it.
func Limited(bytesMax int64, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > bytesMax {
			WriteError(w, r, fault.BodyTooLarge(bytesMax))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, bytesMax)
		next.ServeHTTP(w, r)
	})
}

// ReadBody reads a whole body.
func ReadBody(r *http.Request) ([]byte, error) {
	// A body that says its length is read into a buffer of that size, and one byte for the end to be seen.
	body := make([]byte, 0, max(r.ContentLength, bodyBytesFirst)+1)
	for {
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if err != nil {
			return body, bodyError(err)
		}
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
	}
}

func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.As(err, &tooLarge):
		return fault.BodyTooLarge(tooLarge.Limit)
	}
	return fault.Malformed("", "The body broke off.")
}
