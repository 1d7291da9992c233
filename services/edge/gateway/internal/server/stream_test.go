package server_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fakerouter"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

const streamed = `{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Hi"}]}`

// speak streams "Hello" in two parts, then the finish, then usage.
func speak(_ *routerv1.ChatCompletionParameters, stream fakerouter.Stream) error {
	parts := []*routerv1.StreamChatCompletionResponse{
		chunk(&routerv1.ChatChoiceDelta{Role: routerv1.ChatRole_CHAT_ROLE_ASSISTANT}),
		chunk(&routerv1.ChatChoiceDelta{Content: "Hel"}),
		chunk(&routerv1.ChatChoiceDelta{Content: "lo"}),
		chunk(&routerv1.ChatChoiceDelta{FinishReason: routerv1.FinishReason_FINISH_REASON_STOP}),
		{Chunk: &routerv1.ChatCompletionChunk{
			Id: "chatcmpl-1", Created: 7, Model: "m", Usage: &routerv1.Usage{PromptTokens: 1, CompletionTokens: 2, TotalTokens: 3},
			Receipt: &routerv1.Receipt{RequestId: "r1", CostNanos: 5},
		}},
	}
	for _, part := range parts {
		if err := stream.Send(part); err != nil {
			return err
		}
	}
	return nil
}

func TestAStreamIsOpenAIsEvents(t *testing.T) {
	a := start(t, &fakerouter.Router{Stream: speak}).post(t, "/v1/chat/completions", streamed)
	head := `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":7,"model":"m","system_fingerprint":null,"choices":[`
	want := []string{
		head + `{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null}`,
		head + `{"index":0,"delta":{"content":"Hel"},"logprobs":null,"finish_reason":null}],"usage":null}`,
		head + `{"index":0,"delta":{"content":"lo"},"logprobs":null,"finish_reason":null}],"usage":null}`,
		head + `{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}`,
		head + `],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,` +
			`"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}},"penstock":{`,
		"[DONE]",
	}
	got := a.events(t)
	if len(got) != len(want) {
		t.Fatalf("%d events, want %d: %s", len(got), len(want), a.body)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("event %d is\n%s, want\n%s", i, got[i], want[i])
		}
	}
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache", "X-Accel-Buffering": "no",
	} {
		if a.header.Get(name) != want {
			t.Errorf("%s is %q", name, a.header.Get(name))
		}
	}
}

func TestEachEventLeavesAsItComes(t *testing.T) {
	next := make(chan struct{})
	g := start(t, &fakerouter.Router{Stream: func(_ *routerv1.ChatCompletionParameters, stream fakerouter.Stream) error {
		for _, text := range []string{"one", "two"} {
			if err := stream.Send(chunk(&routerv1.ChatChoiceDelta{Content: text})); err != nil {
				return err
			}
			<-next
		}
		return nil
	}})
	response := g.open(t, http.MethodPost, "/v1/chat/completions", strings.NewReader(streamed))
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	for _, text := range []string{"one", "two"} { // the second is sent only after the first was read
		if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, text) {
			t.Fatalf("line %q (%v), want %q in it", line, err, text)
		}
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		next <- struct{}{}
	}
}

func TestAFailureBeforeTheFirstPartHasItsTrueCode(t *testing.T) {
	g := start(t, &fakerouter.Router{Stream: func(*routerv1.ChatCompletionParameters, fakerouter.Stream) error {
		return fakerouter.Error(codes.ResourceExhausted, "BUDGET_EXCEEDED", "No money.")
	}})
	a := g.post(t, "/v1/chat/completions", streamed)
	if a.code != 429 || a.fault(t)["code"] != "insufficient_quota" || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %v %s", a.code, a.header, a.body)
	}
}

func TestAStreamWithoutAnyPartIsOurDefect(t *testing.T) {
	g := start(t, &fakerouter.Router{Stream: func(*routerv1.ChatCompletionParameters, fakerouter.Stream) error { return nil }})
	if a := g.post(t, "/v1/chat/completions", streamed); a.code != 500 || a.fault(t)["reason"] != "INTERNAL" {
		t.Errorf("%d %s", a.code, a.body)
	}
}

func TestAFailureAfterTheFirstPartIsAnErrorEventAndNeverACleanEnd(t *testing.T) {
	for reason, failure := range map[string]error{
		"STREAM_INTERRUPTED": fakerouter.Error(codes.Unavailable, "STREAM_INTERRUPTED", "It broke off."),
		"CONTENT_REFUSED":    fakerouter.Error(codes.PermissionDenied, "CONTENT_REFUSED", "Refused."),
		"DEADLINE_EXCEEDED":  fakerouter.Error(codes.DeadlineExceeded, "DEADLINE_EXCEEDED", "Too late."),
		"INTERNAL":           fakerouter.Error(codes.Internal, "INTERNAL", "Internal error."),
	} {
		g := start(t, &fakerouter.Router{Stream: func(_ *routerv1.ChatCompletionParameters, stream fakerouter.Stream) error {
			if err := stream.Send(chunk(&routerv1.ChatChoiceDelta{Content: "Hel"})); err != nil {
				return err
			}
			return failure
		}})
		a := g.post(t, "/v1/chat/completions", streamed, "X-Request-Id", "r-1")
		events := a.events(t)
		last := answer{body: events[len(events)-1]}.fault(t)
		if a.code != 200 || len(events) != 2 || last["reason"] != reason || last["request_id"] != "r-1" {
			t.Errorf("%s: %d %s", reason, a.code, a.body)
		}
	}
}

func TestARouterThatDiesMidStreamIsAnInterruptedAnswer(t *testing.T) {
	router := &fakerouter.Router{Stream: func(_ *routerv1.ChatCompletionParameters, stream fakerouter.Stream) error {
		if err := stream.Send(chunk(&routerv1.ChatChoiceDelta{Content: "Hel"})); err != nil {
			return err
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	kill := router.Serve(t, listener)
	g := startWith(t, testSettings(listener.Addr().String()))
	response := g.open(t, http.MethodPost, "/v1/chat/completions", strings.NewReader(streamed))
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Scan()
	kill()
	rest := ""
	for lines.Scan() {
		rest += lines.Text()
	}
	if !strings.Contains(rest, `"reason":"STREAM_INTERRUPTED"`) || strings.Contains(rest, "[DONE]") {
		t.Errorf("the rest of the stream is %q", rest)
	}
}

func TestACallerThatHangsUpMidStreamEndsTheCall(t *testing.T) {
	ended := make(chan struct{})
	g := start(t, &fakerouter.Router{Stream: func(_ *routerv1.ChatCompletionParameters, stream fakerouter.Stream) error {
		defer close(ended)
		if err := stream.Send(chunk(&routerv1.ChatChoiceDelta{Content: "Hel"})); err != nil {
			return err
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	}})
	response := g.open(t, http.MethodPost, "/v1/chat/completions", strings.NewReader(streamed))
	_ = response.Body.Close()
	within(t, ended, "the stream was not cancelled")
}

func TestACallerThatStopsReadingIsCutOff(t *testing.T) {
	ended := make(chan struct{})
	router := &fakerouter.Router{Stream: func(_ *routerv1.ChatCompletionParameters, stream fakerouter.Stream) error {
		defer close(ended)
		part := chunk(&routerv1.ChatChoiceDelta{Content: strings.Repeat("x", 1<<20)})
		for {
			if err := stream.Send(part); err != nil {
				return err
			}
		}
	}}
	s := testSettings(router.Start(t))
	s.Stall = 100 * time.Millisecond
	response := startWith(t, s).open(t, http.MethodPost, "/v1/chat/completions", strings.NewReader(streamed))
	defer response.Body.Close()
	within(t, ended, "the stream was not cut")
}

func TestTheConnectionOfAStreamServesOnAfterItsDeadlines(t *testing.T) {
	t.Parallel()
	s := testSettings((&fakerouter.Router{Stream: speak}).Start(t))
	s.Stall = 2 * time.Second
	g := startWith(t, s)
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	for turn := range 2 {
		if turn > 0 {
			time.Sleep(s.Stall + 100*time.Millisecond)
		}
		response, err := client.Post(g.url+"/v1/chat/completions", "application/json", strings.NewReader(streamed))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || !strings.HasSuffix(string(body), "[DONE]\n\n") {
			t.Fatalf("%v %s", err, body)
		}
	}
}

// postAndHangUp sends a request whose answer nobody waits for; the function it gives hangs up.
func (g gateway) postAndHangUp(t *testing.T, body string) (hangUp func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if response, err := http.DefaultClient.Do(r); err == nil {
			_ = response.Body.Close()
		}
	}()
	return cancel
}

func within(t *testing.T, done <-chan struct{}, otherwise string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal(otherwise)
	}
}
