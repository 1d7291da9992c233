package observe

import (
	"io"
	"log/slog"
	"strings"
)

// NewLogger writes one JSON object a line, with the keys of every service (servicekit.logging).
func NewLogger(w io.Writer, level slog.Level) *slog.Logger {
	handler := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: rename})
	return slog.New(handler).With("service", "gateway")
}

func rename(groups []string, attr slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return attr
	}
	switch attr.Key {
	case slog.TimeKey:
		attr.Key = "timestamp"
		attr.Value = slog.TimeValue(attr.Value.Time().UTC())
	case slog.MessageKey:
		attr.Key = "event"
	case slog.LevelKey:
		name := strings.ToLower(attr.Value.String())
		if name == "warn" {
			name = "warning"
		}
		attr.Value = slog.StringValue(name)
	}
	return attr
}
