// Package ratelimit writes how the caller's rates stand, in headers of OpenAI's names.
package ratelimit

import (
	"net/http"
	"strconv"
	"time"
)

// Rate is how a rate stands.
type Rate struct {
	Unit      string        // "requests" or "tokens"
	Value     int64         // how many there are at most
	Remaining int64         // how many are left
	Reset     time.Duration // when there are more
}

// Write writes x-ratelimit-limit-requests and its likes; a rate of another unit has no headers.
func (r Rate) Write(header http.Header) {
	var unit string
	switch r.Unit {
	case "requests":
		unit = "Requests"
	case "tokens":
		unit = "Tokens"
	default:
		return
	}
	header.Set("X-Ratelimit-Limit-"+unit, strconv.FormatInt(r.Value, 10))
	header.Set("X-Ratelimit-Remaining-"+unit, strconv.FormatInt(r.Remaining, 10))
	header.Set("X-Ratelimit-Reset-"+unit, r.Reset.String()) // "1m0.5s"
}
