package request

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fault"
)

const (
	bodyBytesFirst = 4096
	bodyTimeMax    = time.Minute      // longest that a body may take to come
	discardFactor  = 4                // how many times the limit is read of a body that is refused
	discardTimeMax = 10 * time.Second // and for how long
)

// Limited refuses bodies above bytesMax. What was sent of one is read to its end, within bounds, before it is refused:
// callers that are still sending would not see the answer.
func Limited(bytesMax int64, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := &limitedBody{ReadCloser: r.Body, control: http.NewResponseController(w), left: bytesMax, most: bytesMax}
		if r.ContentLength > bytesMax {
			WriteError(w, r, body.refuse())
			return
		}
		r.Body = body
		next.ServeHTTP(w, r)
	})
}

// limitedBody fails with a Fault where the body passes its limit.
type limitedBody struct {
	io.ReadCloser
	control *http.ResponseController
	left    int64
	most    int64
}

// Read reads what is allowed.
func (b *limitedBody) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	b.left -= int64(n)
	if b.left < 0 {
		return 0, b.refuse()
	}
	return n, err
}

func (b *limitedBody) refuse() error {
	_ = b.control.SetReadDeadline(time.Now().Add(discardTimeMax)) // where that is not supported, the bytes are the bound
	_, _ = io.CopyN(io.Discard, b.ReadCloser, discardFactor*b.most)
	_ = b.control.SetReadDeadline(time.Time{})
	return fault.BodyTooLarge(b.most)
}

// ReadBody reads a whole body within a minute.
func ReadBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(bodyTimeMax)); err != nil {
		return nil, err
	}
	body, err := readAll(r)
	if err != nil {
		return nil, bodyError(err)
	}
	// From now on the server reads only to see whether the caller hangs up, and that may take as long as the answer.
	return body, control.SetReadDeadline(time.Time{})
}

// readAll reads a body that says its length into a buffer of that size, with one byte more for the end to be seen.
func readAll(r *http.Request) ([]byte, error) {
	body := make([]byte, 0, max(r.ContentLength, bodyBytesFirst)+1)
	for {
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return nil, err
		}
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
	}
}

func bodyError(err error) error {
	var known *fault.Fault
	if errors.As(err, &known) {
		return known
	}
	return fault.Malformed("", "The body broke off.")
}
