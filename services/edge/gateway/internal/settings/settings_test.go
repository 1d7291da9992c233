package settings_test

import (
	"bytes"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/settings"
)

func from(environment map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, found := environment[name]
		return value, found
	}
}

func TestWithoutAnyVariableTheDefaultsHold(t *testing.T) {
	s, err := settings.Load(from(nil))
	want := settings.Settings{
		Host: "127.0.0.1", HTTPPort: 50061, RouterAddress: "127.0.0.1:50051", RouterWait: 2 * time.Second, Timeout: 10 * time.Minute,
		Stall: 30 * time.Second, BodyBytesMax: 32 << 20, BodiesBytesMax: 1 << 30, RequestsMax: 16384, Drain: 30 * time.Second, LogLevel: slog.LevelInfo, SchedBatch: true,
	}
	if err != nil || s != want {
		t.Errorf("%+v %v, want %+v", s, err, want)
	}
}

func TestTheOffsetMovesDefaultPortsOnly(t *testing.T) {
	s, err := settings.Load(from(map[string]string{"PENSTOCK_PORT_OFFSET": "100", "PENSTOCK_GATEWAY_HTTP_PORT": "9000"}))
	if err != nil || s.HTTPPort != 9000 || s.RouterAddress != "127.0.0.1:50151" {
		t.Errorf("%+v %v", s, err)
	}
}

func TestTheGatewaysOwnVariableWinsOverTheSharedOne(t *testing.T) {
	s, err := settings.Load(from(map[string]string{
		"PENSTOCK_LOG_LEVEL": "error", "PENSTOCK_GATEWAY_LOG_LEVEL": "debug", "PENSTOCK_DRAIN_SECONDS": "1.5",
		"PENSTOCK_SCHED_BATCH": "false", "PENSTOCK_HOST": "",
	}))
	if err != nil || s.LogLevel != slog.LevelDebug || s.Drain != 1500*time.Millisecond || s.SchedBatch || s.Host != "127.0.0.1" {
		t.Errorf("%+v %v", s, err)
	}
}

func TestAVariableOfTheGatewayAloneIsNotReadFromTheSharedName(t *testing.T) {
	s, err := settings.Load(from(map[string]string{"PENSTOCK_HTTP_PORT": "1"}))
	if err != nil || s.HTTPPort != 50061 {
		t.Errorf("%+v %v", s, err)
	}
}

func TestEachBadVariableIsNamedWithWhatIsAllowed(t *testing.T) {
	_, err := settings.Load(from(map[string]string{
		"PENSTOCK_PORT_OFFSET": "x", "PENSTOCK_GATEWAY_TIMEOUT_SECONDS": "0", "PENSTOCK_LOG_LEVEL": "loud",
		"PENSTOCK_GATEWAY_SCHED_BATCH": "maybe", "PENSTOCK_DRAIN_SECONDS": "NaN",
	}))
	for _, want := range []string{
		`PENSTOCK_PORT_OFFSET="x": must be an integer (allowed: 0 to 15000)`, `PENSTOCK_GATEWAY_TIMEOUT_SECONDS="0"`, `1 to 3600`,
		`PENSTOCK_LOG_LEVEL="loud"`, `PENSTOCK_GATEWAY_SCHED_BATCH="maybe"`, `PENSTOCK_DRAIN_SECONDS="NaN"`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say %s", err, want)
		}
	}
}

func TestTheReadmeListsEverySetting(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var help bytes.Buffer
	settings.Help(&help)
	for _, name := range regexp.MustCompile(`PENSTOCK_GATEWAY_(\w+)`).FindAllStringSubmatch(help.String(), -1) {
		own, shared := "`PENSTOCK_GATEWAY_"+name[1]+"`", "`PENSTOCK_"+name[1]+"`"
		if !strings.Contains(string(readme), own) && !strings.Contains(string(readme), shared) {
			t.Errorf("README.md does not list %s", own)
		}
	}
}
