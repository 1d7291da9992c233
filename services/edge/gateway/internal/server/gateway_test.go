package server_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fakerouter"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/server"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/settings"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

// patience is how long a test waits for what a slow and busy machine does at last.
const patience = time.Minute

const hello = `{"model":"m","messages":[{"role":"user","content":"Hello"}]}`

// gateway is a real gateway that serves on a free port.
type gateway struct {
	url  string
	stop context.CancelFunc // SIGTERM
	done chan error
}

func testSettings(router string) settings.Settings {
	return settings.Settings{
		Host: "127.0.0.1", RouterAddress: router, RouterWait: patience, Timeout: 2 * patience,
		Stall: patience, BodyBytesMax: 32 << 20, BodiesBytesMax: 1 << 30, RequestsMax: 100, Drain: patience,
	}
}

// start runs a gateway in front of a router until the test ends.
func start(t *testing.T, router *fakerouter.Router) gateway {
	t.Helper()
	return startWith(t, testSettings(router.Start(t)))
}

func startWith(t *testing.T, s settings.Settings) gateway {
	t.Helper()
	made, err := server.New(s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := gateway{url: "http://" + listener.Addr().String(), stop: cancel, done: make(chan error, 1)}
	go func() { g.done <- made.Serve(ctx, listener) }()
	t.Cleanup(cancel)
	return g
}

// answer is a response that was read whole.
type answer struct {
	code   int
	header http.Header
	body   string
}

// object reads the body as a JSON object.
func (a answer) object(t *testing.T) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(a.body), &object); err != nil {
		t.Fatalf("body is no JSON object: %v\n%s", err, a.body)
	}
	return object
}

// fault reads the body as an error.
func (a answer) fault(t *testing.T) map[string]any {
	t.Helper()
	fault, ok := a.object(t)["error"].(map[string]any)
	if !ok {
		t.Fatalf("body has no error: %s", a.body)
	}
	return fault
}

// events splits the body of a stream into the data of its events.
func (a answer) events(t *testing.T) []string {
	t.Helper()
	var events []string
	for _, event := range strings.Split(strings.TrimSuffix(a.body, "\n\n"), "\n\n") {
		data, ok := strings.CutPrefix(event, "data: ")
		if !ok {
			t.Fatalf("%q is no event", event)
		}
		events = append(events, data)
	}
	return events
}

func (g gateway) post(t *testing.T, path, body string, headers ...string) answer {
	t.Helper()
	return g.do(t, http.MethodPost, path, strings.NewReader(body), headers...)
}

func (g gateway) get(t *testing.T, path string) answer {
	t.Helper()
	return g.do(t, http.MethodGet, path, nil)
}

func (g gateway) do(t *testing.T, method, path string, body io.Reader, headers ...string) answer {
	t.Helper()
	response := g.open(t, method, path, body, headers...)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

// open gives the response when its head has come.
func (g gateway) open(t *testing.T, method, path string, body io.Reader, headers ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, g.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: noRedirect}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// chunk makes a part of a streamed answer.
func chunk(delta *routerv1.ChatChoiceDelta) *routerv1.StreamChatCompletionResponse {
	return &routerv1.StreamChatCompletionResponse{Chunk: &routerv1.ChatCompletionChunk{
		Id: "chatcmpl-1", Created: 7, Model: "m", Choices: []*routerv1.ChatChoiceDelta{delta},
	}}
}
