//go:build !linux

package server

import "net"

// dropAttempts does nothing: only Linux can drop attempts before the listener is closed.
func dropAttempts(net.Listener) error { return nil }
