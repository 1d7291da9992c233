//go:build !linux

package scheduling

// UseBatch does nothing: only Linux has SCHED_BATCH.
func UseBatch() error { return nil }
