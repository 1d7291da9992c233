// penstock-gateway is the REST door of Penstock: JSON and server-sent events outside, gRPC to the router inside.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/observe"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/scheduling"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/server"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/settings"
)

const (
	badSettingExitCode = 2
	gcPercent          = 400     // the heap is a few MB, so the default collects all the time: a fifth of the CPU
	memoryBytesSoftMax = 1 << 30 // beyond it is collected as often as it takes
)

func main() {
	flag.Usage = func() { settings.Help(os.Stdout) } // there are no flags but -help
	flag.Parse()
	s, err := settings.Load(os.LookupEnv)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(badSettingExitCode)
	}
	if err := run(s); err != nil {
		fmt.Fprintln(os.Stderr, "penstock-gateway:", err)
		os.Exit(1)
	}
}

func run(s settings.Settings) error {
	log := observe.NewLogger(os.Stderr, s.LogLevel)
	tuneCollector()
	if s.SchedBatch {
		if err := scheduling.UseBatch(); err != nil {
			log.Warn("sched_batch_refused", "error", err.Error())
		}
	}
	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	gateway, err := server.New(s, log)
	if err != nil {
		return err
	}
	listener, err := gateway.Listen()
	if err != nil {
		return err
	}
	return gateway.Serve(stop, listener)
}

// tuneCollector sets what GOGC and GOMEMLIMIT do not.
func tuneCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryBytesSoftMax)
	}
}
