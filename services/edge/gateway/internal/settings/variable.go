package settings

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

type scope bool

const (
	own    scope = false // PENSTOCK_GATEWAY_<NAME> only
	shared scope = true  // else PENSTOCK_<NAME>, which every service reads
)

// variable is one setting: where it comes from and how it is read.
type variable struct {
	name         string
	scope        scope
	defaultValue string
	meaning      string
	parse        func(text string) error
}

// find gives the value, the service's own variable first, and the name it was found under. Empty counts as absent.
func (v variable) find(lookup func(string) (string, bool)) (name, value string) {
	ownName := "PENSTOCK_GATEWAY_" + v.name
	if value, _ := lookup(ownName); value != "" {
		return ownName, value
	}
	if value, _ := lookup("PENSTOCK_" + v.name); value != "" && v.scope == shared {
		return "PENSTOCK_" + v.name, value
	}
	return ownName, v.defaultValue
}

// Help lists every variable with its default.
func Help(w io.Writer) {
	fmt.Fprintln(w, "penstock-gateway: the REST door of Penstock. Settings come from the environment:")
	for _, v := range variables(&Settings{}) {
		name := "PENSTOCK_GATEWAY_" + v.name
		if v.scope == shared {
			name += " or PENSTOCK_" + v.name
		}
		fmt.Fprintf(w, "  %s\n      %s", name, v.meaning)
		if v.defaultValue != "" {
			fmt.Fprintf(w, " (default %s)", v.defaultValue)
		}
		fmt.Fprintln(w)
	}
}

func text(into *string) func(string) error {
	return func(value string) error {
		*into = value
		return nil
	}
}

func integer[T int | int64](into *T, least, most T) func(string) error {
	return func(value string) error {
		if value == "" {
			return nil
		}
		number, err := strconv.ParseInt(value, 10, 64)
		if err != nil || T(number) < least || T(number) > most {
			return fmt.Errorf("must be an integer (allowed: %d to %d)", least, most)
		}
		*into = T(number)
		return nil
	}
}

func seconds(into *time.Duration, least, most float64) func(string) error {
	return func(value string) error {
		number, err := strconv.ParseFloat(value, 64)
		if err != nil || !(number >= least && number <= most) {
			return fmt.Errorf("must be a number of seconds (allowed: %v to %v)", least, most)
		}
		*into = time.Duration(number * float64(time.Second))
		return nil
	}
}

func boolean(into *bool) func(string) error {
	return func(value string) error {
		switch strings.ToLower(value) {
		case "true", "1", "yes", "on":
			*into = true
		case "false", "0", "no", "off":
			*into = false
		default:
			return fmt.Errorf("must be true or false")
		}
		return nil
	}
}

func level(into *slog.Level) func(string) error {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warning": slog.LevelWarn, "error": slog.LevelError,
	}
	return func(value string) error {
		found, known := levels[value]
		if !known {
			return fmt.Errorf("must be debug, info, warning or error")
		}
		*into = found
		return nil
	}
}
