package server

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// dropAttempts has the kernel drop what comes to a listening socket, by a filter that lets nothing pass (socket(7),
// SO_ATTACH_FILTER). Connections that it has taken already can still be accepted: closing at once would reset them, and with
// them requests that were already sent.
func dropAttempts(listener net.Listener) error {
	raw, err := listener.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
	program := unix.SockFprog{Len: 1, Filter: &nothing}
	var refused error
	err = raw.Control(func(fd uintptr) {
		refused = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	})
	if err != nil {
		return err
	}
	return refused
}
