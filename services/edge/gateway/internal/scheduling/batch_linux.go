// Package scheduling chooses how the kernel schedules this process.
package scheduling

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// UseBatch puts every thread under SCHED_BATCH: woken threads then do not preempt those that run, so that each wake-up finds
// more work waiting. The policy is inherited by new threads, but the runtime has some already; so it is set for one thread,
// which then executes the program anew, and the second time there is nothing to do. Call it first in main.
func UseBatch() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	policy, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return fmt.Errorf("read the scheduling policy: %w", err)
	}
	if policy.Policy == unix.SCHED_BATCH {
		return nil
	}
	batch := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_BATCH, Nice: policy.Nice}
	if err := unix.SchedSetAttr(0, &batch, 0); err != nil {
		return fmt.Errorf("set SCHED_BATCH: %w", err)
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program: %w", err)
	}
	return fmt.Errorf("execute the program anew: %w", syscall.Exec(program, os.Args, os.Environ()))
}
