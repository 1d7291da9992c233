package server_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fakerouter"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/server"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

func TestABodyUpToTheLimitPassesAndOneAboveItIs413(t *testing.T) {
	s := testSettings((&fakerouter.Router{Chat: echo}).Start(t))
	s.BodyBytesMax = 4 << 20
	g := startWith(t, s)
	long := strings.Replace(hello, "Hello", strings.Repeat("x", 3<<20), 1)
	if a := g.post(t, "/v1/chat/completions", long); a.code != 200 || len(a.body) < 3<<20 {
		t.Errorf("3 MB: %d", a.code)
	}
	huge := strings.Repeat("x", 5<<20)
	for name, body := range map[string]io.Reader{
		"of known length": strings.NewReader(huge), "of unknown length": io.MultiReader(strings.NewReader(huge)),
	} {
		a := g.do(t, http.MethodPost, "/v1/chat/completions", body)
		if a.code != 413 || a.fault(t)["reason"] != "BODY_TOO_LARGE" {
			t.Errorf("%s: %d %s", name, a.code, a.body)
		}
	}
}

func TestABodyThatIsNotJSONIsNotSentOn(t *testing.T) {
	router := &fakerouter.Router{Chat: echo}
	a := start(t, router).post(t, "/v1/chat/completions", "{\"model\":\"\xff\"}")
	if _, _, calls := router.Seen(); a.code != 400 || a.fault(t)["reason"] != "MALFORMED_REQUEST" || calls != 0 {
		t.Errorf("%d %s, %d calls", a.code, a.body, calls)
	}
}

func TestAnAPIKeyThatIsNoTextIsRefusedHere(t *testing.T) {
	a := start(t, &fakerouter.Router{Chat: echo}).post(t, "/v1/chat/completions", hello, "Authorization", "Bearer ké")
	if a.code != 401 || a.fault(t)["reason"] != "API_KEY_INVALID" {
		t.Errorf("%d %s", a.code, a.body)
	}
}

func TestEmbeddingsAreServed(t *testing.T) {
	g := start(t, &fakerouter.Router{Embed: func(p *routerv1.EmbeddingParameters) (*routerv1.EmbeddingList, error) {
		return &routerv1.EmbeddingList{
			Model: p.GetModel(), Embeddings: []*routerv1.Embedding{{Values: []float32{0.5}}},
			Receipt: &routerv1.Receipt{CostNanos: 9},
		}, nil
	}})
	a := g.post(t, "/v1/embeddings", `{"model":"m","input":["a"],"encoding_format":"base64"}`)
	if a.code != 200 || !strings.Contains(a.body, `"embedding":"AAAAPw=="`) || a.header.Get("X-Penstock-Cost-Nanos") != "9" {
		t.Errorf("%d %s", a.code, a.body)
	}
}

func TestARequestWaitsForARouterThatComesBack(t *testing.T) {
	address := freeAddress(t)
	g := startWith(t, testSettings(address))
	answered := make(chan answer, 1)
	go func() { answered <- g.post(t, "/v1/chat/completions", hello) }()
	time.Sleep(100 * time.Millisecond)
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	(&fakerouter.Router{Chat: echo}).Serve(t, listener)
	if a := <-answered; a.code != 200 {
		t.Errorf("%d %s", a.code, a.body)
	}
}

func TestARouterThatStaysAwayIsA503WithRetryAfter(t *testing.T) {
	s := testSettings(freeAddress(t))
	s.RouterWait = 200 * time.Millisecond
	g := startWith(t, s)
	for _, body := range []string{hello, streamed} {
		a := g.post(t, "/v1/chat/completions", body)
		if a.code != 503 || a.fault(t)["reason"] != "DEPENDENCY_UNAVAILABLE" || a.header.Get("Retry-After") != "1" {
			t.Errorf("%d %s", a.code, a.body)
		}
	}
}

func TestReadinessIsTheRoutersAndHealthIsOurOwn(t *testing.T) {
	router := &fakerouter.Router{}
	g := start(t, router)
	var a answer
	eventually(t, func() bool { a = g.get(t, "/readyz"); return a.code == 200 }, func() string { return a.body })
	if a.body != "ready\n" {
		t.Errorf("%q", a.body)
	}
	router.Health.SetServingStatus("", healthv1.HealthCheckResponse_NOT_SERVING)
	if a := g.get(t, "/readyz"); a.code != 503 {
		t.Errorf("readiness is %d %q", a.code, a.body)
	}
	if a := g.get(t, "/healthz"); a.code != 200 {
		t.Errorf("health is %d", a.code)
	}
}

func TestMetricsCountByRouteAndNeverByPath(t *testing.T) {
	g := start(t, &fakerouter.Router{Chat: echo, Stream: speak, Models: models})
	g.post(t, "/v1/chat/completions", hello)
	g.post(t, "/v1/chat/completions", streamed)
	g.get(t, "/v1/models/some-model")
	g.get(t, "/v1/some/path")
	lines := []string{
		`penstock_gateway_requests_total{code="200",route="/v1/chat/completions"} 2`,
		`penstock_gateway_requests_total{code="200",route="/v1/models/{model=*}"} 1`,
		`penstock_gateway_requests_total{code="404",route="none"} 1`,
		`penstock_gateway_streams_total{reason=""} 1`,
		`penstock_gateway_stream_events_total 5`,
		`penstock_gateway_requests_in_flight 1`, // this one
	}
	var page string
	eventually(t, func() bool { // a request is counted when its answer has left
		page = g.get(t, "/metrics").body
		return !slices.ContainsFunc(lines, func(line string) bool { return !strings.Contains(page, line) })
	}, func() string { return page })
	if strings.Contains(page, "some-model") || strings.Contains(page, "some/path") {
		t.Error("a path is a label")
	}
}

func TestRequestsAboveTheLimitAreRefused(t *testing.T) {
	begun := make(chan struct{})
	s := testSettings((&fakerouter.Router{
		Chat: func(ctx context.Context, _ *routerv1.ChatCompletionParameters) (*routerv1.ChatCompletion, error) {
			close(begun)
			<-ctx.Done()
			return nil, ctx.Err()
		},
	}).Start(t))
	s.RequestsMax = 1
	g := startWith(t, s)
	hangUp := g.postAndHangUp(t, hello)
	defer hangUp()
	<-begun
	if a := g.post(t, "/v1/chat/completions", hello); a.code != 503 || a.fault(t)["reason"] != "OVERLOADED" {
		t.Errorf("%d %s", a.code, a.body)
	}
	if a := g.get(t, "/healthz"); a.code != 200 {
		t.Errorf("health is %d", a.code)
	}
}

func TestBodiesAboveTheirLimitTogetherAreRefused(t *testing.T) {
	begun := make(chan struct{})
	s := testSettings((&fakerouter.Router{
		Chat: func(ctx context.Context, _ *routerv1.ChatCompletionParameters) (*routerv1.ChatCompletion, error) {
			close(begun)
			<-ctx.Done()
			return nil, ctx.Err()
		},
	}).Start(t))
	s.BodiesBytesMax = int64(len(hello)) + 10
	g := startWith(t, s)
	hangUp := g.postAndHangUp(t, hello)
	<-begun
	if a := g.post(t, "/v1/chat/completions", hello); a.code != 503 || a.fault(t)["reason"] != "OVERLOADED" {
		t.Errorf("%d %s", a.code, a.body)
	}
	hangUp()
	eventually(t, func() bool { // what the first held is free again
		return g.post(t, "/v1/chat/completions", `{"functions":[]}`).code == 400
	}, func() string { return "the bytes are not given back" })
}

func TestSIGTERMFinishesWhatIsOpenAndRefusesWhatIsNew(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	g := start(t, &fakerouter.Router{Stream: func(_ *routerv1.ChatCompletionParameters, stream fakerouter.Stream) error {
		if err := stream.Send(chunk(&routerv1.ChatChoiceDelta{Content: "Hel"})); err != nil {
			return err
		}
		close(begun)
		<-finish
		return stream.Send(chunk(&routerv1.ChatChoiceDelta{Content: "lo"}))
	}})
	response := g.open(t, http.MethodPost, "/v1/chat/completions", strings.NewReader(streamed))
	defer response.Body.Close()
	<-begun
	g.stop()
	eventually(t, func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, func() string { return "new connections are still taken" })
	close(finish)
	rest, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(rest), "lo") || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
		t.Errorf("%v %s", err, rest)
	}
	if err := <-g.done; err != nil {
		t.Error(err)
	}
}

func TestAStreamThatOutlastsTheDrainEndsWithAnErrorEvent(t *testing.T) {
	s := testSettings((&fakerouter.Router{Stream: func(_ *routerv1.ChatCompletionParameters, stream fakerouter.Stream) error {
		if err := stream.Send(chunk(&routerv1.ChatChoiceDelta{Content: "Hel"})); err != nil {
			return err
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	}}).Start(t))
	s.Drain = 50 * time.Millisecond
	g := startWith(t, s)
	response := g.open(t, http.MethodPost, "/v1/chat/completions", strings.NewReader(streamed))
	defer response.Body.Close()
	g.stop()
	rest, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(rest), `"reason":"STREAM_INTERRUPTED"`) || strings.Contains(string(rest), "[DONE]") {
		t.Errorf("%v %s", err, rest)
	}
	if err := <-g.done; err != nil {
		t.Error(err)
	}
}

func TestAPortInUseNamesTheSetting(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := testSettings(freeAddress(t))
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	s.HTTPPort, _ = strconv.Atoi(port)
	made, err := server.New(s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := made.Listen(); err == nil || !strings.Contains(err.Error(), "PENSTOCK_GATEWAY_HTTP_PORT") {
		t.Errorf("%v", err)
	}
}

func TestTheDescriptionAndItsPageNeedNoNetwork(t *testing.T) {
	g := start(t, &fakerouter.Router{})
	description := g.get(t, "/openapi.json")
	paths := description.object(t)["paths"].(map[string]any)
	for _, path := range []string{"/v1/chat/completions", "/v1/embeddings", "/v1/models", "/v1/organizations/{organization}/budgets"} {
		if paths[path] == nil {
			t.Errorf("%s is not described", path)
		}
	}
	page := g.get(t, "/docs/")
	if page.code != 200 || strings.Contains(page.body, "//") && strings.Contains(page.body, "http") {
		t.Errorf("%d %s", page.code, page.body)
	}
	if a := g.get(t, "/"); a.code != 302 || a.header.Get("Location") != "/docs/" {
		t.Errorf("%d %v", a.code, a.header)
	}
	if a := g.get(t, "/docs/nothing"); a.code != 404 {
		t.Errorf("%d", a.code)
	}
}

// freeAddress gives an address where nobody listens until the test does: a socket that is bound to it and does not
// listen keeps the kernel from giving the port to anybody else.
func freeAddress(t *testing.T) string {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })
	if err := syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
}

// eventually waits until something holds; when it never does, the test ends with what is said otherwise.
func eventually(t *testing.T, holds func() bool, otherwise func() string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(otherwise())
		}
	}
}
