// Package request is what the gateway knows about one HTTP request beside its body: its names, its deadline, its caller.
package request

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

const idBytesMax = 64

// Scope names one request in headers, logs and metrics. Handlers note in it what the access log shall say.
type Scope struct {
	ID          string // x-request-id of the caller, else minted
	Traceparent string // W3C Trace Context of the caller, else minted
	Route       string // pattern that matched; empty: none did
	Reason      string // why it failed; empty: it did not
	Began       time.Time
}

// TraceID is the 32 hexadecimal digits of the trace.
func (s *Scope) TraceID() string { return s.Traceparent[3:35] }

type scopeKey struct{}

// FromContext gives the scope that Named opened.
func FromContext(ctx context.Context) *Scope { return ctx.Value(scopeKey{}).(*Scope) }

// Named opens the scope of each request and names it in the response, also when it fails.
func Named(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scope := &Scope{ID: r.Header.Get("X-Request-Id"), Traceparent: r.Header.Get("Traceparent"), Began: time.Now()}
		if scope.ID == "" || len(scope.ID) > idBytesMax || !isPrintable(scope.ID) || strings.Contains(scope.ID, " ") {
			scope.ID = newID(scope.Began)
		}
		if !isTraceparent(scope.Traceparent) {
			scope.Traceparent = newTraceparent()
		}
		w.Header().Set("X-Request-Id", scope.ID)
		w.Header().Set("X-Trace-Id", scope.TraceID())
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), scopeKey{}, scope)))
	})
}

// newID makes a UUIDv7 (RFC 9562): 48 bits of milliseconds, then random, so that ids sort by time.
func newID(now time.Time) string {
	var id [16]byte
	_, _ = rand.Read(id[6:]) // never fails
	milliseconds := binary.BigEndian.AppendUint64(nil, uint64(now.UnixMilli()))
	copy(id[:6], milliseconds[2:])
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	digits := hex.EncodeToString(id[:])
	return strings.Join([]string{digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]}, "-")
}

func newTraceparent() string {
	var ids [24]byte
	_, _ = rand.Read(ids[:]) // never fails
	ids[0] |= 1              // all zeros would be invalid
	ids[16] |= 1
	digits := hex.EncodeToString(ids[:])
	return "00-" + digits[:32] + "-" + digits[32:] + "-01"
}

// isTraceparent tells whether a header is of version 00 of W3C Trace Context.
func isTraceparent(header string) bool {
	parts := strings.Split(header, "-")
	return len(header) == 55 && len(parts) == 4 && parts[0] == "00" &&
		isID(parts[1], 32) && isID(parts[2], 16) && isHex(parts[3])
}

func isID(text string, length int) bool {
	return len(text) == length && isHex(text) && strings.Trim(text, "0") != ""
}

func isHex(text string) bool { return strings.Trim(text, "0123456789abcdef") == "" }

// isPrintable tells whether gRPC takes a text as the value of metadata.
func isPrintable(text string) bool {
	for i := range len(text) {
		if text[i] < 0x20 || text[i] > 0x7e {
			return false
		}
	}
	return true
}
