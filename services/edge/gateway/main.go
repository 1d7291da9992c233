// penstock-gateway is the REST door of Penstock: JSON and server-sent events outside, gRPC to the router inside.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/observe"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/scheduling"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/server"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/settings"
)

const badSettingExitCode = 2

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
