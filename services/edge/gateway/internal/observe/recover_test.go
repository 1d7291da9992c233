package observe_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/observe"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/request"
)

func serve(t *testing.T, handler http.HandlerFunc) (*http.Response, error, string) {
	t.Helper()
	var lines bytes.Buffer
	log := observe.NewLogger(&lines, slog.LevelInfo)
	server := httptest.NewServer(request.Named(observe.Answers(log, observe.NewMetrics(), observe.Recovered(log, handler))))
	defer server.Close()
	response, err := http.Get(server.URL)
	return response, err, lines.String()
}

func TestAPanicIsAnInternalErrorOutsideAndAStackInside(t *testing.T) {
	response, err, lines := serve(t, func(http.ResponseWriter, *http.Request) { panic("secret") })
	if err != nil || response.StatusCode != 500 {
		t.Fatalf("%v %v", response, err)
	}
	var body bytes.Buffer
	_, _ = body.ReadFrom(response.Body)
	if !strings.Contains(body.String(), `"reason":"INTERNAL"`) || strings.Contains(body.String(), "secret") {
		t.Errorf("outside: %s", body.String())
	}
	for _, want := range []string{`"event":"panic"`, "secret", "recover_test.go", `"level":"error"`, `"service":"gateway"`, `"request_id":"`} {
		if !strings.Contains(lines, want) {
			t.Errorf("inside lacks %s: %s", want, lines)
		}
	}
}

func TestAPanicAfterTheAnswerBeganBreaksItOff(t *testing.T) {
	response, err, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("half"))
		_ = http.NewResponseController(w).Flush()
		panic("secret")
	})
	if err != nil {
		t.Fatal(err)
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err == nil {
		t.Errorf("the answer looks whole: %q", body.String())
	}
}
