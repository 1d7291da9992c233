// Package settings reads what the gateway can be told from the environment, once.
package settings

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Settings are those of one gateway. Sources says which variable sets what.
type Settings struct {
	PortOffset     int
	Host           string
	HTTPPort       int
	RouterAddress  string
	RouterWait     time.Duration
	Timeout        time.Duration
	Stall          time.Duration
	BodyBytesMax   int64
	BodiesBytesMax int64
	RequestsMax    int64
	Predrain       time.Duration
	Drain          time.Duration
	LogLevel       slog.Level
	SchedBatch     bool
}

const (
	httpPortDefault   = 50061
	routerPortDefault = 50051
)

// Load reads the environment. The error names each bad variable, what is wrong with it and what is allowed.
func Load(lookup func(name string) (string, bool)) (Settings, error) {
	var s Settings
	var problems []error
	for _, v := range variables(&s) {
		name, text := v.find(lookup)
		if err := v.parse(text); err != nil {
			problems = append(problems, fmt.Errorf("bad setting %s=%q: %w", name, text, err))
		}
	}
	s.HTTPPort, s.RouterAddress = orShifted(s)
	return s, errors.Join(problems...)
}

// orShifted gives the defaults that PENSTOCK_PORT_OFFSET moves.
func orShifted(s Settings) (port int, router string) {
	port, router = s.HTTPPort, s.RouterAddress
	if port == 0 {
		port = httpPortDefault + s.PortOffset
	}
	if router == "" {
		router = fmt.Sprintf("127.0.0.1:%d", routerPortDefault+s.PortOffset)
	}
	return port, router
}

// variables lists every variable, in the order of -help.
func variables(s *Settings) []variable {
	return []variable{
		{"PORT_OFFSET", shared, "0", "moves all default ports", integer(&s.PortOffset, 0, 15_000)},
		{"HOST", shared, "127.0.0.1", "address to listen on", text(&s.Host)},
		{"HTTP_PORT", own, "", "port to listen on; default 50061 + PENSTOCK_PORT_OFFSET", integer(&s.HTTPPort, 1, 65535)},
		{"ROUTER_ADDRESS", own, "", "gRPC address of the router; default 127.0.0.1:50051, moved likewise", text(&s.RouterAddress)},
		{"ROUTER_WAIT_SECONDS", own, "2", "how long a call waits for a router that is not connected", seconds(&s.RouterWait, 0, 60)},
		{"TIMEOUT_SECONDS", own, "600", "longest that a request may take; callers may ask for less", seconds(&s.Timeout, 1, 3600)},
		{"STALL_SECONDS", own, "30", "longest that a caller may take to accept one event of a stream", seconds(&s.Stall, 1, 600)},
		{"BODY_BYTES_MAX", own, "33554432", "largest body", integer(&s.BodyBytesMax, 1, 1<<30)},
		{"BODIES_BYTES_MAX", own, "1073741824", "most bytes of bodies at a time", integer(&s.BodiesBytesMax, 1, 1<<40)},
		{"REQUESTS_MAX", own, "16384", "most requests at a time, streams included", integer(&s.RequestsMax, 1, 1<<20)},
		{"PREDRAIN_SECONDS", shared, "0", "how long /readyz says no before new requests are refused", seconds(&s.Predrain, 0, 60)},
		{"DRAIN_SECONDS", shared, "30", "how long open requests may take to finish after SIGTERM", seconds(&s.Drain, 0.1, 600)},
		{"LOG_LEVEL", shared, "info", "debug, info, warning or error; debug logs every request", level(&s.LogLevel)},
		{"SCHED_BATCH", shared, "true", "run under SCHED_BATCH", boolean(&s.SchedBatch)},
	}
}
